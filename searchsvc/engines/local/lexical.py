"""The lexical index: tantivy, BM25 over title and text as one field, phrases over both as they are spelt.

    lexical-NUMBER/     tantivy's files
    lexical.json        the manifest: which folder is in force, the last change that it holds, its files' checksums

tantivy commits by itself, whole or not at all; the number of the last change that it holds is written afterwards.
After a crash between the two, the changes are applied again, which does no harm: each article is taken out before it
is put in. What is made anew is made in a folder beside the old one.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, EmbeddingSpace, to_microseconds
from searchsvc.engines import Candidates
from searchsvc.engines.local import manifest
from searchsvc.engines.local.read_only import LinkedFolder, is_read_only
from searchsvc.errors import DamagedIndex, Unwritable
from searchsvc.query.filter import Filter
from searchsvc.text.analysis import analyzer, composed, surface_analyzer, surface_tokens
from searchsvc.text.sources import normalized

if TYPE_CHECKING:
    import tantivy

FORMAT = 3
MANIFEST = "lexical.json"
META = "meta.json"  # tantivy's own list of what is in force
ANALYZER = "news"
SPELLING = "spelling"
HEAP = 64 << 20
DELETE_AT_ONCE = 1_000  # articles


class Lexical:
    """The tantivy index that is in force in a folder."""

    _read: tuple[bytes, dict[str, Any]] | None = None
    _links: LinkedFolder | None = None

    def __init__(self, folder: Path) -> None:
        """Open the index; raises DamagedIndex when what is there cannot be used."""
        import tantivy

        self._manifest = folder / MANIFEST
        self._home = folder / str(self._facts()["folder"])
        try:
            _check(self._home, self._facts())
            self._links = LinkedFolder(self._home) if is_read_only(self._home) else None
            self._index = tantivy.Index.open(str(self._links.folder if self._links else self._home))
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"the lexical index cannot be read: {error}") from error
        self._register()

    @classmethod
    def make(cls, folder: Path, catalogue: Catalogue, space: EmbeddingSpace) -> "Lexical":
        """Make the index anew from the catalogue, put it in force, and remove the one that was."""
        import tantivy

        numbers = [int(old.name.rpartition("-")[2]) for old in folder.glob("lexical-*")]
        home = folder / f"lexical-{max(numbers, default=0) + 1}"
        home.mkdir()
        made = cls.__new__(cls)
        made._manifest, made._home = folder / MANIFEST, home
        try:
            made._index = tantivy.Index(_schema(), str(home))
        except (OSError, ValueError) as error:
            raise _unwritable(error) from error
        made._register()
        upto = catalogue.changes.last()
        added, _ = catalogue.changes.between(0, upto)
        made._write((), added, catalogue, space, upto)
        for old in folder.glob("lexical*"):
            if old.is_dir() and old != home:
                shutil.rmtree(old, ignore_errors=True)
        return made

    @property
    def in_force(self) -> bool:
        """Whether no other has been put in force since this one was opened; raises DamagedIndex."""
        return bool(self._home.name == self._facts()["folder"])

    @property
    def generation(self) -> int:
        """The number of the last change that is searchable."""
        return int(self._facts()["generation"])

    @property
    def identity(self) -> str:
        """What tells that change from the one with the same number in another catalogue."""
        return str(self._facts()["stamp"])

    @property
    def deleted_share(self) -> float:
        """The share of passages that are removed and still lie in the files, 0 to 1."""
        segments = _segments(_meta(self._home)).values()
        return sum(removed for _, removed in segments) / max(1, sum(count for count, _ in segments))

    @staticmethod
    def applied_in(folder: Path) -> tuple[int, str]:
        """Return number and identity of the last change that is searchable, opening nothing; raises DamagedIndex."""
        facts = manifest.read(folder / MANIFEST, FORMAT)
        return int(facts["generation"]), str(facts["stamp"])

    def apply(self, catalogue: Catalogue, space: EmbeddingSpace) -> None:
        """Take over what the catalogue has committed since."""
        done, upto = self.generation, catalogue.changes.last()
        if done != upto:
            added, removed = catalogue.changes.between(done, upto)
            self._write([*removed, *added], added, catalogue, space, upto)

    def searcher(self) -> "LexicalSnapshot":
        """Return the newest committed state; raises DamagedIndex when it cannot be opened."""
        try:
            if self._links:
                self._links.refresh()
            self._index.reload()
            return LexicalSnapshot(self._index.searcher(), self._index.schema)
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"the lexical index cannot be read: {error}") from error

    def _register(self) -> None:
        self._index.register_tokenizer(ANALYZER, analyzer())
        self._index.register_tokenizer(SPELLING, surface_analyzer())

    def _write(
        self, removed: Sequence[int], added: Iterable[int], catalogue: Catalogue, space: EmbeddingSpace, generation: int
    ) -> None:
        import tantivy

        schema = self._index.schema
        try:
            writer = self._index.writer(HEAP, 1)
            # What an interrupted commit has left bears the names that the same commit needs when it is done again.
            writer.garbage_collect_files()
            # By query: by term, tantivy-py takes the number for a signed one and deletes nothing.
            for start in range(0, len(removed), DELETE_AT_ONCE):
                articles = list(removed[start : start + DELETE_AT_ONCE])
                writer.delete_documents_by_query(tantivy.Query.term_set_query(schema, "article", articles))
            for document in _documents(added, catalogue, space):
                writer.add_document(tantivy.Document.from_dict(document, schema))
            writer.commit()
            identity = catalogue.changes.identity(generation)
            self._record(generation, identity)
            # Merging may take seconds, in which what was committed is searchable already.
            writer.wait_merging_threads()
        except (OSError, ValueError) as error:
            raise _unwritable(error) from error
        self._record(generation, identity)

    def _record(self, generation: int, identity: str) -> None:
        known = self._known()
        files: dict[str, int] | None = None
        while files is None:
            meta = _meta(self._home)
            try:
                files = {
                    name: known[name] if name in known else manifest.checksum(self._home / name)
                    for name in _lasting(self._home, meta)
                }
            except FileNotFoundError:  # merged away meanwhile
                continue
        facts = {
            "format": FORMAT,
            "folder": self._home.name,
            "generation": generation,
            "stamp": identity,
            "files": files,
            "meta": _sum_of(meta),
            "operations": meta["opstamp"],
        }
        manifest.write(self._manifest, facts)

    def _known(self) -> dict[str, int]:
        """Return the checksums of the files that were there at the last record, and never change."""
        try:
            facts = self._facts()
        except DamagedIndex:
            return {}
        return facts["files"] if facts["folder"] == self._home.name else {}

    def _facts(self) -> dict[str, Any]:
        """Return the manifest, which every search looks at and which seldom changes."""
        data = manifest.bytes_of(self._manifest)
        if self._read is None or self._read[0] != data:
            self._read = (data, manifest.parsed(self._manifest, data, FORMAT))
        return self._read[1]


class LexicalSnapshot:
    """One committed state of the lexical index."""

    def __init__(self, searcher: "tantivy.Searcher", schema: "tantivy.Schema") -> None:
        self._searcher = searcher
        self._schema = schema

    @property
    def passages(self) -> int:
        """The number of passages in it."""
        return int(self._searcher.num_docs)

    def rows(self, phrases: Sequence[str] = ()) -> NDArray[np.int64]:
        """Return the rows of the passages that hold all of these phrases, each in text or title, ascending."""
        from tantivy import Occur, Query

        clauses = [(Occur.Must, query) for query in self._phrases(phrases)]
        return self._values("row", Query.boolean_query(clauses) if clauses else Query.all_query())

    def articles(self, phrases: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of the articles that hold any of these phrases, ascending."""
        from tantivy import Occur, Query

        clauses = [(Occur.Should, query) for query in self._phrases(phrases)]
        return np.unique(self._values("article", Query.boolean_query(clauses)))

    def search(
        self, words: Sequence[str], k: int, filters: Filter, pairs: Mapping[tuple[str, str], float]
    ) -> Candidates:
        """Return the k passages with the best BM25 scores, of those that a filter lets through.

        The score is that of the words, and that of each pair of them as a phrase, times its weight.
        """
        from tantivy import Occur, Query

        terms = [(Occur.Should, Query.term_query(self._schema, "body", word)) for word in words]
        terms += [
            (Occur.Should, Query.boost_query(Query.phrase_query(self._schema, "body", list(pair)), weight))
            for pair, weight in pairs.items()
        ]
        if not terms or not self._searcher.num_docs:
            return Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        query = Query.boolean_query([(Occur.Must, Query.boolean_query(terms)), *self._clauses(filters)])
        hits = self._searcher.search(query, k, count=False).hits
        places = [place for _, place in hits]
        return Candidates(
            np.array(self._searcher.fast_field_values("row", places), np.int64),
            np.array(self._searcher.fast_field_values("article", places), np.int64),
            np.array([score for score, _ in hits], np.float32),
        )

    def frequencies(self, words: Sequence[str]) -> list[int]:
        """Return the number of passages that hold each word; removed ones count until tantivy merges their files."""
        return [self._searcher.doc_freq("body", word) for word in words]

    def _values(self, field: str, query: "tantivy.Query") -> NDArray[np.int64]:
        """Return the value of a field of every passage that a query finds, ascending."""
        from tantivy import Query

        hits = self._searcher.search(Query.const_score_query(query, 0.0), max(1, self.passages), count=False).hits
        return np.sort(np.array(self._searcher.fast_field_values(field, [place for _, place in hits]), np.int64))

    def _phrases(self, phrases: Sequence[str]) -> list["tantivy.Query"]:
        """Return a query for each of the phrases; one without a word says nothing."""
        from tantivy import Query

        return [
            Query.phrase_query(self._schema, "spelt", words)
            if len(words) > 1
            else Query.term_query(self._schema, "spelt", words[0])
            for words in map(surface_tokens, phrases)
            if words
        ]

    def _clauses(self, filters: Filter) -> list[tuple["tantivy.Occur", "tantivy.Query"]]:
        from tantivy import FieldType, Occur, Query

        clauses = []
        if filters.after is not None or filters.before is not None:
            low = None if filters.after is None else to_microseconds(filters.after)
            high = None if filters.before is None else to_microseconds(filters.before)
            within = Query.range_query(self._schema, "published", FieldType.Integer, low, high)
            clauses.append((Occur.Must, Query.const_score_query(within, 0.0)))
        if filters.as_of is not None:
            later = to_microseconds(filters.as_of) + 1
            after = Query.range_query(self._schema, "published", FieldType.Integer, later, None)
            clauses.append((Occur.MustNot, after))
        for field, names in (("source", filters.sources), ("language", filters.languages)):
            if names:
                any_name = Query.term_set_query(self._schema, field, [normalized(name) for name in names])
                clauses.append((Occur.Must, Query.const_score_query(any_name, 0.0)))
        clauses += [(Occur.Must, Query.const_score_query(phrase, 0.0)) for phrase in self._phrases(filters.phrases)]
        if filters.excluded:
            excluded = self.articles(filters.excluded).tolist()
            clauses.append((Occur.MustNot, Query.term_set_query(self._schema, "article", excluded)))
        return clauses


def _documents(articles: Iterable[int], catalogue: Catalogue, space: EmbeddingSpace) -> Iterator[dict[str, object]]:
    for row in articles:
        article = catalogue.articles.by_row([row]).get(row)
        if article is None:
            continue
        facts: dict[str, object] = {"article": row}
        for field, name in (("source", article.source), ("language", article.language)):
            if name is not None:
                facts[field] = normalized(name)
        if article.published is not None:
            facts["published"] = to_microseconds(article.published)
        for stored in catalogue.passages.of_article(row, space.row):
            text = article.text[stored.passage.start : stored.passage.end]
            # Two values, so that no phrase begins in the title and ends in the text.
            spelt = [composed(article.title), composed(text)]
            yield facts | {"row": stored.row, "body": f"{article.title}\n{text}", "spelt": spelt}


def _meta(home: Path) -> dict[str, Any]:
    """Return tantivy's own list of what is in force."""
    try:
        meta: dict[str, Any] = json.loads((home / META).read_bytes())
        _segments(meta)
        meta["opstamp"] + 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedIndex(f"{META} of the lexical index cannot be read: {error}") from error
    return meta


def _segments(meta: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return how many passages each segment in force holds, and how many of them are removed, by its files' stem."""
    return {
        segment["segment_id"].replace("-", ""): (
            segment["max_doc"],
            (segment["deletes"] or {}).get("num_deleted_docs", 0),
        )
        for segment in meta["segments"]
    }


def _sum_of(meta: dict[str, Any]) -> int:
    """Return a checksum of all but the count of operations, which rises with a commit that changes nothing, too."""
    return manifest.sum_of({name: value for name, value in meta.items() if name != "opstamp"})


def _lasting(home: Path, meta: dict[str, Any]) -> list[str]:
    """Return the files that tantivy never changes once written, of the segments that are in force."""
    segments = _segments(meta)
    return sorted(file.name for file in home.iterdir() if file.name.partition(".")[0] in segments)


def _check(home: Path, facts: dict[str, Any]) -> None:
    """Raise DamagedIndex unless the files are those that the manifest names, or their successors.

    Between tantivy's commit and the new manifest, files may have been added, and merged away; whoever opens the index
    just then must not take that for damage. A file that tantivy's own list still needs must be there in any case.
    """
    meta, recorded = _meta(home), facts["files"]
    present, needed = _lasting(home, meta), _segments(meta)
    for name in present:
        if name in recorded and manifest.checksum(home / name) != recorded[name]:
            raise DamagedIndex(f"{name} of the lexical index has changed since it was written")
    for name in {*recorded} - {*present}:
        if not name.endswith(".del") and name.partition(".")[0] in needed:
            raise DamagedIndex(f"{name} of the lexical index is gone")
    if meta["opstamp"] < facts["operations"] or ({*recorded} == {*present} and _sum_of(meta) != facts["meta"]):
        raise DamagedIndex(f"{META} of the lexical index has changed since it was written")


def _unwritable(error: Exception) -> Unwritable:
    return Unwritable(f"the lexical index cannot be written: {error}", "make room on the disk")


def _schema() -> "tantivy.Schema":
    import tantivy

    return (
        tantivy.SchemaBuilder()
        .add_unsigned_field("row", fast=True)
        .add_unsigned_field("article", indexed=True, fast=True)
        .add_text_field("body", tokenizer_name=ANALYZER)
        .add_text_field("spelt", tokenizer_name=SPELLING)
        .add_integer_field("published", indexed=True, fast=True)
        .add_text_field("source", tokenizer_name="raw", index_option="basic")
        .add_text_field("language", tokenizer_name="raw", index_option="basic")
        .build()
    )
