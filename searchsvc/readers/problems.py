"""A tally: problems are named up to a limit, and counted beyond it, so that no file makes a report without end."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from searchsvc.text.article import Problem, RawArticle

MOST_OF_A_FILE = 20  # problems of each kind, lost or not, that are named: a person reads no more of one file
AT_ONCE = 1_000  # problems that a reader counts before it says so: often enough to show that it is not stuck
MOST_IN_A_ROW = 500_000  # records that cannot be read, with no article between them, after which a file is given up
LONGEST_REASON = 500  # characters; what is longer holds a piece of the input
LONGEST_WHERE = 5_000  # characters; no path has more than 4,096


class Tally:
    """Problems as they are met: of each kind, lost or not, the first `most` by name, the others by their number."""

    def __init__(self, where: str, most: int) -> None:
        """Count for `where`, which is what the problems that are not named are said of."""
        self._where = where
        self._most = most
        self._named: list[Problem] = []
        self._rooms: Counter[bool] = Counter()  # how many of each kind are named
        self._more: Counter[bool] = Counter()  # and how many are not
        self.total: Counter[bool] = Counter()

    def add(self, problem: Problem) -> bool:
        """Take a problem in; say whether it is named."""
        self.total[problem.lost] += problem.count
        if self._rooms[problem.lost] >= self._most:
            self._more[problem.lost] += problem.count
            return False
        self._rooms[problem.lost] += 1
        self._named.append(_shortened(problem))
        return True

    @property
    def problems(self) -> list[Problem]:
        """Those that are named, in the order in which they were met, then one for all others of each kind."""
        return [*self._named, *(more(self._where, lost, count) for lost, count in self._more.items())]


def named(
    found: Iterable[RawArticle | Problem], where: str, most_in_a_row: int = MOST_IN_A_ROW
) -> Iterator[RawArticle | Problem]:
    """Yield articles as they come, and of each kind the first problems; the others counted, `AT_ONCE` at a time.

    After `most_in_a_row` lost ones with no article between them, nothing more is read: a few kilobytes may unpack to
    lines without end.
    """
    tally, waiting, in_a_row = Tally(where, MOST_OF_A_FILE), Counter[bool](), 0
    for one in found:
        in_a_row = 0 if isinstance(one, RawArticle) else in_a_row + one.lost * one.count
        if in_a_row > most_in_a_row:
            reason = f"more than {most_in_a_row:,} records in a row could not be read; nothing after them was"
            yield Problem(where, reason)
            break
        if isinstance(one, RawArticle) or tally.add(one):
            yield one
            continue
        waiting[one.lost] += one.count
        if waiting[one.lost] >= AT_ONCE:
            yield more(where, one.lost, waiting.pop(one.lost))
    for lost, count in waiting.items():
        yield more(where, lost, count)


def more(where: str, lost: bool, count: int) -> Problem:
    """Return the problem that stands for so many others of its kind."""
    said = "could not be indexed" if lost else "were indexed with something amiss"
    return Problem(where, f"{count:,} more {said}", lost, count)


def _shortened(problem: Problem) -> Problem:
    if len(problem.reason) <= LONGEST_REASON and len(problem.where) <= LONGEST_WHERE:
        return problem
    return replace(problem, where=_cut(problem.where, LONGEST_WHERE), reason=_cut(problem.reason, LONGEST_REASON))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
