"""Ids of articles where keys collide: two files of one name, and feeds that use a key of the owner's.

An article has the id of its key. Of two files in different folders that have one name, whose articles' keys are made of
it, the later gets another id; so does what a feed brings, unless its origin has the id already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from searchsvc.catalogue import Catalogue, Writer
from searchsvc.ingest.prepare import PreparedArticle
from searchsvc.text.article import RawArticle, article_id

Prepared = Mapping[str, PreparedArticle]  # articles that are not recorded yet, by id


@dataclass(frozen=True, slots=True)
class Identities:
    """Gives ids to the articles of one run."""

    catalogue: Catalogue
    _named: set[str] = field(default_factory=set)  # ids of articles whose key is made of their file's name

    def of(self, article: RawArticle, file: str | None, file_key: str, prepared: Prepared) -> str:
        """Return the id of an article of a file (None: of no file), whose articles' keys begin with `file_key`."""
        key, origin = article.key, article.origin
        ident = article_id(key)
        if origin is not None:
            # What a feed brought before origins were recorded has the plain id of its key, and keeps it.
            return ident if self.catalogue.articles.origins([ident]).get(ident) == origin else article_id(key, origin)
        if file is None or not (key == file_key or key.startswith(f"{file_key}#")):
            return ident
        other = _id_within(file, key)
        pending = prepared.get(ident)
        owner = pending.file if pending else self.catalogue.files.of_article(ident)
        # The other id stays, even when the file that had the name first is gone.
        ident = other if owner not in {None, file} or self.catalogue.files.of_article(other) == file else ident
        self._named.add(ident)
        return ident

    def taken(self, prepared: Prepared) -> dict[str, str]:
        """Return other ids, by id, for articles whose id another process has given to another article since."""
        others = {}
        origins = self.catalogue.articles.origins(
            ident for ident, pending in prepared.items() if pending.article.origin
        )
        for ident, pending in prepared.items():
            if ident in origins and origins[ident] != pending.article.origin:
                others[ident] = article_id(pending.article.key, pending.article.origin)
            elif ident in self._named and self.catalogue.files.of_article(ident) not in {None, pending.file}:
                others[ident] = _id_within(pending.file or "", pending.article.key)
        return others

    def make_room(self, writer: Writer, prepared: Prepared) -> None:
        """Give articles of feeds that have the plain id of an article of the owner's the id of their origin."""
        for ident, origin in self.catalogue.articles.origins(prepared).items():
            if origin is not None and (article := prepared[ident].article).origin is None:
                writer.articles.rename(ident, article_id(article.key, origin))


def _id_within(file: str, key: str) -> str:
    return article_id(f"{file}\n{key}")
