"""A filter: which articles and passages a search may find."""

from dataclasses import dataclass
from datetime import datetime

from searchsvc.text.article import Article
from searchsvc.text.sources import normalized


@dataclass(frozen=True, slots=True)
class Filter:
    """What an article must be to be found at all.

    `after` and `before` (inclusive) leave out articles without a date; `as_of` leaves out only what is known to
    have been published later. Sources and languages are compared without case; empty means any.

    Every one of `phrases` must stand in the passage or in its title, and none of `excluded` anywhere in the article's
    passages or title: its words one after another, as they are spelt but for case and accents, whatever is between.
    """

    after: datetime | None = None
    before: datetime | None = None
    as_of: datetime | None = None
    sources: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def allows(self, article: Article) -> bool:
        """Say whether an article is let through by its dates, source and language; its text is not looked at."""
        at = article.published
        return (
            (self.after is None or (at is not None and at >= self.after))
            and (self.before is None or (at is not None and at <= self.before))
            and (self.as_of is None or at is None or at <= self.as_of)
            and _is_among(article.source, self.sources)
            and _is_among(article.language, self.languages)
        )


def _is_among(name: str | None, wanted: frozenset[str]) -> bool:
    return not wanted or (name is not None and normalized(name) in map(normalized, wanted))
