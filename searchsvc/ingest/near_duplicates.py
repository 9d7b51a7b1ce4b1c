"""Folding: articles that tell the same story are found, and recorded as its copies.

    put in force ── unfolded ── bands ──► articles that share some ── read, compared ──► stories

Whatever is put in force counts as unfolded in the same transaction, and is folded within the same turn. So is, in the
turns that follow, what a kill or an older version of the catalogue left, and a story that lost a copy.
"""

import logging
from collections.abc import Callable
from functools import lru_cache

from searchsvc.catalogue import Catalogue, Writer
from searchsvc.errors import SearchsvcError
from searchsvc.text.article import Article
from searchsvc.text.near_duplicates import BANDS_VERSION, ComparedText, Likeness, bands, likeness, split_clusters

AT_ONCE = 1_000  # articles in one transaction
MOST_ALIKE = 50  # articles of one band that are looked at
MOST_READ = 20  # articles that one is compared with, those that share most bands
MOST_PARTED = 50  # copies of the stories that one article joins, which are all compared with each other
KEPT = 100  # texts kept in memory

Told = Callable[[int], ComparedText]

_log = logging.getLogger("searchsvc")


def is_due(catalogue: Catalogue) -> bool:
    """Say whether some articles are unfolded."""
    return catalogue.near_duplicates.bands_version() != BANDS_VERSION or bool(catalogue.near_duplicates.to_compare(1))


def find_near_duplicates(catalogue: Catalogue) -> None:
    """Look for copies of what is unfolded, of a thousand articles at most; only the one writer calls this."""
    if catalogue.near_duplicates.bands_version() != BANDS_VERSION:
        with catalogue.writing() as writer:
            writer.near_duplicates.compare_all(BANDS_VERSION)
    entries = catalogue.near_duplicates.to_compare(AT_ONCE)
    if not entries:
        return
    told = lru_cache(KEPT)(lambda row: _telling(catalogue.articles.by_row([row])[row]))
    with catalogue.writing() as writer:
        for entry in entries:
            try:
                _fold(entry, told, catalogue, writer)
            except SearchsvcError:
                raise
            except Exception:  # noqa: BLE001  nobody knows what a library raises on another article
                # Else it would be looked at again and again, and the copies of no other article be found.
                _log.exception("the copies of article %s cannot be looked for", entry.id)
                writer.near_duplicates.set_bands(entry.row, ())


def _fold(entry: Article, told: Told, catalogue: Catalogue, writer: Writer) -> None:
    mine = _telling(entry)
    common = bands(mine)
    alike = [row for row in catalogue.near_duplicates.sharing_bands(common, MOST_ALIKE) if row != entry.row][:MOST_READ]
    how = {row: likeness(mine, told(row)) for row in alike}
    copies = [row for row in alike if how[row] is Likeness.COPIES]
    joined = {catalogue.near_duplicates.cluster_of(row): row for row in copies}
    kept_apart = {catalogue.near_duplicates.cluster_of(row) for row in alike if how[row] is Likeness.VERSIONS}
    members = [entry.row, *joined.values()]
    known = {told(row).origin for row in copies}
    beside = catalogue.near_duplicates.origins(copies[0], MOST_PARTED) if len(joined) == 1 else {}
    # Whoever is a copy of a stranger's text alone may be none of what that is a copy of: see `parted`.
    others = [row for origin, row in beside.items() if origin not in known]
    mixed = any(likeness(mine, told(row)) is not Likeness.COPIES for row in others)
    if len(joined) > 1 or mixed or not kept_apart.isdisjoint(joined):
        members += [copy for row in joined.values() for copy in catalogue.near_duplicates.of(row)][:MOST_PARTED]
        members = list(dict.fromkeys(members))
        for part in split_clusters([told(row) for row in members]):
            rows = [members[place] for place in part]
            writer.near_duplicates.set_cluster(rows, min(rows))
    elif joined:
        writer.near_duplicates.set_cluster(members, *joined)
    writer.near_duplicates.set_bands(entry.row, common)


def _telling(entry: Article) -> ComparedText:
    return ComparedText(entry.title, entry.text, entry.source, entry.published, entry.origin)
