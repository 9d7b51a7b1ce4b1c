"""Near-duplicates: articles that are copies of one another are found, and recorded as clusters.

    put in force ── to compare ── bands ──► articles that share some ── read, compared ──► clusters

Whatever is put in force is marked in the same transaction, and compared while the same lock is held. So is, the next
times, what a killed process left, and a cluster that lost a member.
"""

import logging
from collections.abc import Callable
from functools import lru_cache

from searchsvc.catalogue import Catalogue, Writer
from searchsvc.errors import SearchsvcError
from searchsvc.text.article import Article
from searchsvc.text.near_duplicates import BANDS_VERSION, ComparedText, Likeness, bands, likeness, split_clusters

AT_ONCE = 1_000  # articles in one transaction
MAX_PER_BAND = 50  # articles of one band that are looked at
MAX_COMPARED = 20  # articles that one is compared with, those that share most bands
MAX_SPLIT = 50  # members of the clusters that one article joins, which are all compared with each other
CACHED = 100  # texts kept in memory

TextOf = Callable[[int], ComparedText]  # by the article's row

_log = logging.getLogger("searchsvc")


def is_due(catalogue: Catalogue) -> bool:
    """Return whether some articles are still to be compared."""
    return catalogue.near_duplicates.bands_version() != BANDS_VERSION or bool(catalogue.near_duplicates.to_compare(1))


def find_near_duplicates(catalogue: Catalogue) -> None:
    """Find the near-duplicates of articles that are to be compared, at most a thousand; the write lock must be held."""
    if catalogue.near_duplicates.bands_version() != BANDS_VERSION:
        with catalogue.writing() as writer:
            writer.near_duplicates.compare_all(BANDS_VERSION)
    articles = catalogue.near_duplicates.to_compare(AT_ONCE)
    if not articles:
        return
    text_of = lru_cache(CACHED)(lambda row: _compared(catalogue.articles.by_row([row])[row]))
    with catalogue.writing() as writer:
        for article in articles:
            try:
                _add_to_cluster(article, text_of, catalogue, writer)
            except SearchsvcError:
                raise
            except Exception:  # noqa: BLE001  nobody knows what a library raises on another article
                # Else it would be compared again and again, and the near-duplicates of no other article be found.
                _log.exception("the near-duplicates of article %s cannot be looked for", article.id)
                writer.near_duplicates.set_bands(article.row, ())


def _add_to_cluster(article: Article, text_of: TextOf, catalogue: Catalogue, writer: Writer) -> None:
    clusters = catalogue.near_duplicates
    text = _compared(article)
    own_bands = bands(text)
    similar = [row for row in clusters.sharing_bands(own_bands, MAX_PER_BAND) if row != article.row][:MAX_COMPARED]
    likenesses = {row: likeness(text, text_of(row)) for row in similar}
    copies = [row for row in similar if likenesses[row] is Likeness.COPIES]
    joined = {clusters.cluster_of(row): row for row in copies}
    kept_apart = {clusters.cluster_of(row) for row in similar if likenesses[row] is Likeness.VERSIONS}
    members = [article.row, *joined.values()]
    known_origins = {text_of(row).origin for row in copies}
    first_of_origin = clusters.origins(copies[0], MAX_SPLIT) if len(joined) == 1 else {}
    # Who is a copy of a stranger's text alone may be none of what that is a copy of: see `split_clusters`.
    others = [row for origin, row in first_of_origin.items() if origin not in known_origins]
    is_mixed = any(likeness(text, text_of(row)) is not Likeness.COPIES for row in others)
    if len(joined) > 1 or is_mixed or not kept_apart.isdisjoint(joined):
        members += [member for row in joined.values() for member in clusters.of(row)][:MAX_SPLIT]
        members = list(dict.fromkeys(members))
        for part in split_clusters([text_of(row) for row in members]):
            rows = [members[place] for place in part]
            writer.near_duplicates.set_cluster(rows, min(rows))
    elif joined:
        writer.near_duplicates.set_cluster(members, *joined)
    writer.near_duplicates.set_bands(article.row, own_bands)


def _compared(article: Article) -> ComparedText:
    return ComparedText(article.title, article.text, article.source, article.published, article.origin)
