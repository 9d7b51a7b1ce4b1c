"""Writing passages with their vectors: the core step of indexing, splitting again, embedding again and repairing.

passages ── embed what is new ── take the lock ── look again ── one transaction: vectors, and what `record` writes
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from searchsvc.catalogue import Catalogue, Writer
from searchsvc.ingest.prepare import PreparedPassage, Preparer

BATCH = 1_536  # passages embedded and committed at a time: about fifteen seconds of work on two cores

TakeLock = Callable[[], AbstractContextManager[None]]  # holds the write lock of the index


def write(
    catalogue: Catalogue,
    take_lock: TakeLock,
    preparer: Callable[[], Preparer],
    passages: Collection[PreparedPassage],
    record: Callable[[Writer], object],
    *,
    may_commit: Callable[[], bool] = lambda: True,
    replace: bool = False,
) -> int:
    """Embed the passages whose vector is not recorded, and commit them with what `record` writes; return how many.

    Embedding needs no lock. Once it is held, nothing is done unless `may_commit`, and the passages are embedded whose
    vectors were deleted meanwhile. With `replace`, all are embedded, and take the place of the recorded vectors.
    `preparer` is called, and the model loaded, only where something is embedded.
    """
    digests = {passage.digest for passage in passages}
    known = set() if replace else catalogue.vectors.known(digests)
    embedded = [preparer().embed(passages, known)] if digests - known else []
    with take_lock():
        if not may_commit():
            return 0
        if deleted := known - catalogue.vectors.known(known):
            # All others count as known, so that only these are embedded again.
            embedded.append(preparer().embed(passages, digests - deleted))
        with catalogue.writing() as writer:
            put = writer.vectors.replace if replace else writer.vectors.add
            for new in embedded:
                put(new.vectors.items(), new.sentences)
            record(writer)
    return sum(len(new.vectors) for new in embedded)
