"""The status of an index: what is in it, how big, how fresh, and whether all is well."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from searchsvc.catalogue import FailingPart
from searchsvc.library.index import LOSS, Index

MAX_DAMAGED = 20  # articles named


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the index, how big, how fresh. Sizes are bytes; `pending` counts changes not yet searchable.

    `parts` are those that are failing, in any process that is at work on the index; see `health`. `damaged` is what is
    known to be damaged or lost, and could not be repaired.
    """

    articles: int
    passages: int
    generation: int
    pending: int
    updated: datetime | None
    model: str
    bytes_on_disk: int
    engine: str
    index: str
    passage_tokens: int
    oldest: datetime | None
    newest: datetime | None
    undated: int
    sources: tuple[tuple[str, int], ...]
    unused_bytes: int
    moving_to: str | None
    reranker: str | None
    parts: tuple[FailingPart, ...]
    damaged: tuple[str, ...] = ()


def status_of(index: Index) -> Status:
    """Return the status of an index; needs neither the model nor an opened engine."""
    catalogue, settings = index.catalogue, index.settings
    counts, space, span = catalogue.counts(), catalogue.spaces.get(), catalogue.articles.date_span()
    making = catalogue.spaces.get("making")
    applied = index.serving.engine.applied(catalogue) if space else counts.generation
    return Status(
        articles=counts.articles,
        passages=counts.passages,
        generation=counts.generation,
        pending=counts.generation - min(applied, counts.generation),
        updated=counts.updated,
        model=space.model if space else "",
        bytes_on_disk=_bytes_in(index.folder),
        engine=settings.engine,
        index=str(index.folder),
        passage_tokens=space.passage_tokens if space else 0,
        oldest=span.oldest,
        newest=span.newest,
        undated=span.undated,
        sources=tuple(catalogue.articles.sources()),
        unused_bytes=catalogue.unused_bytes()[0],
        moving_to=f"{making.model}, passages of up to {making.passage_tokens} tokens" if making else None,
        reranker=settings.rerank or None,
        parts=index.health.parts(),
        damaged=tuple(filter(None, (catalogue.metadata.get(LOSS), *catalogue.checksums.damaged()[:MAX_DAMAGED]))),
    )


def _bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder, some of which may go while they are looked at."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.lstat().st_size if file.is_file() else 0
    return total
