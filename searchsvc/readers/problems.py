"""Problems: listed up to a limit, and counted beyond it, so that no file makes an endless report."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from searchsvc.text.article import Problem, RawArticle

MOST_OF_A_FILE = 20  # problems of each kind, lost or not, that are listed: a person reads no more of one file
REPORT_EVERY = 1_000  # problems that are not listed: often enough to show that the reader is not stuck
MAX_IN_A_ROW = 500_000  # records that cannot be read, with no article between them, after which a file is given up
MAX_REASON = 500  # characters; what is longer holds a piece of the input
MAX_WHERE = 5_000  # characters; no path has more than 4,096


class Tally:
    """A count of problems: of each kind, lost or not, the first `limit` are listed."""

    def __init__(self, where: str, limit: int) -> None:
        """Count problems; those that are not listed are reported as of `where`."""
        self._where = where
        self._limit = limit
        self._listed: list[Problem] = []
        self._listed_of: Counter[bool] = Counter()  # by kind
        self._unlisted_of: Counter[bool] = Counter()
        self.total: Counter[bool] = Counter()

    def add(self, problem: Problem) -> bool:
        """Count a problem; say whether it is listed."""
        self.total[problem.lost] += problem.count
        if self._listed_of[problem.lost] >= self._limit:
            self._unlisted_of[problem.lost] += problem.count
            return False
        self._listed_of[problem.lost] += 1
        self._listed.append(_shortened(problem))
        return True

    @property
    def problems(self) -> list[Problem]:
        """The listed problems in order, then one for all others of each kind."""
        return [*self._listed, *(more(self._where, lost, count) for lost, count in self._unlisted_of.items())]


def limited(
    results: Iterable[RawArticle | Problem], where: str, max_in_a_row: int = MAX_IN_A_ROW
) -> Iterator[RawArticle | Problem]:
    """Yield articles as they come, and of each kind the first problems; the others counted, `REPORT_EVERY` at a time.

    After `max_in_a_row` lost ones with no article between them, nothing more is read: a few kilobytes may unpack to
    endless lines.
    """
    tally, unlisted, in_a_row = Tally(where, MOST_OF_A_FILE), Counter[bool](), 0
    for result in results:
        in_a_row = 0 if isinstance(result, RawArticle) else in_a_row + result.lost * result.count
        if in_a_row > max_in_a_row:
            reason = f"more than {max_in_a_row:,} records in a row could not be read; nothing after them was"
            yield Problem(where, reason)
            break
        if isinstance(result, RawArticle) or tally.add(result):
            yield result
            continue
        unlisted[result.lost] += result.count
        if unlisted[result.lost] >= REPORT_EVERY:
            yield more(where, result.lost, unlisted.pop(result.lost))
    for lost, count in unlisted.items():
        yield more(where, lost, count)


def more(where: str, lost: bool, count: int) -> Problem:
    """Return the problem that stands for so many more of its kind."""
    outcome = "could not be indexed" if lost else "were indexed with something amiss"
    return Problem(where, f"{count:,} more {outcome}", lost, count)


def _shortened(problem: Problem) -> Problem:
    if len(problem.reason) <= MAX_REASON and len(problem.where) <= MAX_WHERE:
        return problem
    return replace(problem, where=_cut(problem.where, MAX_WHERE), reason=_cut(problem.reason, MAX_REASON))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
