"""The lexical index: tantivy, BM25 over title and text as one field.

tantivy commits by itself, whole or not at all; the number of the last change that it holds is written beside it
afterwards. After a crash between the two, the changes are applied again, which does no harm: each article is taken
out before it is put in.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchsvc.catalogue import Catalogue, to_microseconds
from searchsvc.engines import Candidates, Filter
from searchsvc.engines.local import ledger
from searchsvc.engines.local.columns import label
from searchsvc.errors import DamagedIndex
from searchsvc.words import analyzer

if TYPE_CHECKING:
    import tantivy

FORMAT = 1
LEDGER = "lexical.json"
META = "meta.json"  # tantivy's own list of what is in force
ANALYZER = "news"
HEAP = 64 << 20
DELETE_AT_ONCE = 1_000  # articles


class Lexical:
    """A tantivy index in a folder, with the number of the last change that it holds."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open the index, or make an empty one; raises DamagedIndex when what is there cannot be used."""
        import tantivy

        self._folder = folder
        try:
            if create:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                self._index = tantivy.Index(_schema(), str(folder))
                self._record(0, "None")
            else:
                _check(folder)
                self._index = tantivy.Index.open(str(folder))
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"the lexical index cannot be read: {error}") from error
        self._index.register_tokenizer(ANALYZER, analyzer())

    @property
    def generation(self) -> int:
        """The number of the last change that is searchable."""
        return self.generation_in(self._folder)

    @property
    def stamp(self) -> str:
        """When that change was made."""
        return str(_facts(self._folder)["stamp"])

    @staticmethod
    def generation_in(folder: Path) -> int:
        """Return the number of the last change that an index holds, without opening it; raises DamagedIndex."""
        return int(_facts(folder)["generation"])

    def apply(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue has committed since."""
        import tantivy

        done, upto = self.generation, catalogue.generation()
        if done == upto:
            return
        added, removed = catalogue.changes(done, upto)
        writer = self._index.writer(HEAP)
        # By query: by term, tantivy-py takes the number for a signed one and deletes nothing.
        schema = self._index.schema
        gone = [*removed, *added]
        for start in range(0, len(gone), DELETE_AT_ONCE):
            some = gone[start : start + DELETE_AT_ONCE]
            writer.delete_documents_by_query(tantivy.Query.term_set_query(schema, "article", some))
        for article in added:
            entry = catalogue.articles([article]).get(article)
            if entry is None:
                continue
            for found in catalogue.passages_of(article):
                document: dict[str, object] = {
                    "row": found.row,
                    "article": article,
                    "body": f"{entry.title}\n{entry.text[found.passage.start : found.passage.end]}",
                }
                for field, name in (("source", entry.source), ("language", entry.language)):
                    if name is not None:
                        document[field] = label(name)
                if entry.published is not None:
                    document["published"] = to_microseconds(entry.published)
                writer.add_document(tantivy.Document.from_dict(document, schema))
        writer.commit()
        writer.wait_merging_threads()
        self._record(upto, str(catalogue.changed_at(upto)))

    def searcher(self) -> "LexicalSnapshot":
        """Return the newest committed state; raises DamagedIndex when it cannot be opened."""
        try:
            self._index.reload()
            return LexicalSnapshot(self._index.searcher(), self._index.schema)
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"the lexical index cannot be read: {error}") from error

    def _record(self, generation: int, stamp: str) -> None:
        files = {name: ledger.checksum(self._folder / name) for name in (*_lasting(self._folder), META)}
        facts = {"format": FORMAT, "generation": generation, "stamp": stamp, "files": files}
        ledger.write(self._folder.with_name(LEDGER), facts)


class LexicalSnapshot:
    """One committed state of the lexical index."""

    def __init__(self, searcher: "tantivy.Searcher", schema: "tantivy.Schema") -> None:
        self._searcher = searcher
        self._schema = schema

    @property
    def passages(self) -> int:
        """How many passages are in it."""
        return int(self._searcher.num_docs)

    def search(self, words: Sequence[str], k: int, allowed: Filter) -> Candidates:
        """Return the k passages with the best BM25 scores for these words, of those that a filter lets through."""
        from tantivy import Occur, Query

        terms = [(Occur.Should, Query.term_query(self._schema, "body", word)) for word in words]
        if not terms or not self._searcher.num_docs:
            return Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        query = Query.boolean_query([(Occur.Must, Query.boolean_query(terms)), *self._clauses(allowed)])
        found = self._searcher.search(query, k, count=False).hits
        places = [place for _, place in found]
        return Candidates(
            np.array(self._searcher.fast_field_values("row", places), np.int64),
            np.array(self._searcher.fast_field_values("article", places), np.int64),
            np.array([score for score, _ in found], np.float32),
        )

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return in how many passages each word stands; those taken out count until tantivy merges their files."""
        return [self._searcher.doc_freq("body", word) for word in words]

    def _clauses(self, allowed: Filter) -> list[tuple["tantivy.Occur", "tantivy.Query"]]:
        from tantivy import FieldType, Occur, Query

        clauses = []
        if allowed.after is not None or allowed.before is not None:
            low = None if allowed.after is None else to_microseconds(allowed.after)
            high = None if allowed.before is None else to_microseconds(allowed.before)
            within = Query.range_query(self._schema, "published", FieldType.Integer, low, high)
            clauses.append((Occur.Must, Query.const_score_query(within, 0.0)))
        if allowed.as_of is not None:
            later = to_microseconds(allowed.as_of) + 1
            after = Query.range_query(self._schema, "published", FieldType.Integer, later, None)
            clauses.append((Occur.MustNot, after))
        for field, wanted in (("source", allowed.sources), ("language", allowed.languages)):
            if wanted:
                one_of = Query.term_set_query(self._schema, field, [label(name) for name in wanted])
                clauses.append((Occur.Must, Query.const_score_query(one_of, 0.0)))
        return clauses


def _lasting(folder: Path) -> list[str]:
    """Return the files that tantivy never changes once written."""
    return [file.name for file in sorted(folder.iterdir()) if file.suffix not in {".json", ".lock"}]


def _check(folder: Path) -> None:
    """Raise DamagedIndex unless the files are those that the ledger names, or their successors.

    Between tantivy's commit and the new ledger, files may have been added, and merged away; whoever opens the index
    just then must not take that for damage. A file that tantivy's own list still needs must be there in any case.
    """
    named = _facts(folder)["files"]
    there = _lasting(folder)
    needed = (folder / META).read_text(encoding="utf-8").replace("-", "")
    for name, checksum in named.items():
        if name == META and sorted({*named} - {META}) != there:
            continue
        if name in there or name == META:
            if ledger.checksum(folder / name) != checksum:
                raise DamagedIndex(f"{name} of the lexical index has changed since it was written")
        elif not name.endswith(".del") and name.partition(".")[0] in needed:
            raise DamagedIndex(f"{name} of the lexical index is gone")


def _facts(folder: Path) -> dict[str, Any]:
    return ledger.read(folder.with_name(LEDGER), FORMAT)


def _schema() -> "tantivy.Schema":
    import tantivy

    return (
        tantivy.SchemaBuilder()
        .add_unsigned_field("row", fast=True)
        .add_unsigned_field("article", indexed=True, fast=True)
        .add_text_field("body", tokenizer_name=ANALYZER)
        .add_integer_field("published", indexed=True, fast=True)
        .add_text_field("source", tokenizer_name="raw", index_option="basic")
        .add_text_field("language", tokenizer_name="raw", index_option="basic")
        .build()
    )
