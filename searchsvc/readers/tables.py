"""Tables: one article a row, as CSV or TSV, with names in the first row."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from searchsvc.errors import Unreadable
from searchsvc.readers.compression import too_large
from searchsvc.readers.fields import TEXT, from_record
from searchsvc.readers.records import text_lines
from searchsvc.text.article import Problem, RawArticle

_NEVER_CLOSED = "a quotation mark is never closed"

_field_size = Lock()


def read_table(path: Path, key: str, limit: int) -> Iterator[RawArticle | Problem]:
    """Yield the article of each row; a broken row costs only itself. `limit`: bytes of one row.

    Columns are parted by whichever of comma, tab, semicolon and bar the first row has most of. Raises
    `OSError`, and `Unreadable` where the file is damaged, empty, or has no column for the text.
    """
    rows = _Rows(text_lines(path, limit), limit)
    header: list[str] = []
    count, astray = 0, False
    while True:
        try:
            row = rows.next_row(len(header))
        except Unreadable as fault:
            if not header:
                raise
            count += 1
            yield Problem(f"{path}, line {rows.began}", fault.message)
            astray = rows.astray
            if astray and len(header) == 1:
                raise Unreadable("nothing after the broken row was read") from fault
            continue
        if row is None:
            break
        if not any(cell.strip() for cell in row):
            continue
        if astray and len(row) != len(header):
            continue  # still inside the broken row, which would pass for many
        astray = False
        if not header:
            header = [name.strip().lower() for name in row]
            if not set(header).intersection(TEXT):
                raise Unreadable(f"no column for the text: one must be called {', '.join(TEXT)}")
            continue
        count += 1
        where = f"{path}, line {rows.began}"
        if any(cell.strip() for cell in row[len(header) :]):
            yield Problem(where, f"{len(row)} columns where the first row has {len(header)}")
            continue
        yield from from_record(dict(zip(header, row, strict=False)), where=where, fallback_key=f"{key}#{count}")
    if not header:
        raise Unreadable("is empty")


@dataclass(slots=True)
class _Rows:
    """Rows out of lines; `began` is the line on which the last one began.

    A quotation mark that is never closed would swallow the rest of the file: such a row is given up, its
    lines but the first are read again, and `astray` says that they may be part of it still. Where each of these opens
    a quotation mark as well, it is not read to the end once more: all lines up to `_open_until` stood within one, so
    that a row which goes on past its first line there goes on as the row did that was given up, for `_open_because`.
    """

    source: Iterator[str | Unreadable]
    limit: int
    began: int = 0
    astray: bool = False
    _number: int = 0
    _size: int = 0
    _delimiter: str = ""
    _open_until: int = 0
    _open_because: str = ""
    _pulled: list[str | Unreadable] = field(default_factory=list)
    _again: deque[str | Unreadable] = field(default_factory=deque)

    def next_row(self, columns: int) -> list[str] | None:
        """Return the next row, None at the end; raises `Unreadable` for one that cannot be read."""
        self.began, self.astray, self._size, self._pulled = self._number + 1, False, 0, []
        if not self._delimiter:
            first = self._line()
            if first is None:
                return None
            self._delimiter = max(",\t;|", key=first.count)
            self._put_back(0)
        try:
            # The size of a field is one setting for the whole process.
            with _field_size:
                before = csv.field_size_limit(min(self.limit + 1, 2**31 - 1))
                try:
                    return next(csv.reader(self._fed(), delimiter=self._delimiter, strict=True), None)
                finally:
                    csv.field_size_limit(before)
        except Unreadable as fault:
            if self._size > self.limit:
                self._give_up(fault.message)
            raise
        except csv.Error as fault:
            if "unexpected end of data" in str(fault):
                self._give_up(_NEVER_CLOSED)
                raise Unreadable(_NEVER_CLOSED) from fault
            return self._bare(columns, fault)

    def _bare(self, columns: int, fault: csv.Error) -> list[str]:
        """Read a line whose quotation marks mean nothing, if it then has as many columns as the first."""
        line = self._pulled[0]
        if len(self._pulled) == 1 and isinstance(line, str):
            row = line.split(self._delimiter)
            if len(row) == columns:
                return row
        raise Unreadable(f"not a row: {fault}") from fault

    def _fed(self) -> Iterator[str]:
        while (line := self._line()) is not None:
            self._size += len(line) + 1
            if self._size > self.limit:
                raise too_large(self.limit)
            yield line + "\n"
            if self._number < self._open_until:
                self.astray = True
                raise Unreadable(self._open_because)

    def _line(self) -> str | None:
        line = self._again.popleft() if self._again else next(self.source, None)
        if line is None:
            return None
        self._number += 1
        self._pulled.append(line)
        if isinstance(line, Unreadable):
            raise line
        return line

    def _give_up(self, reason: str) -> None:
        self._open_until, self._open_because = self._number, reason
        self._put_back(1)
        self.astray = True

    def _put_back(self, start: int) -> None:
        self._again.extendleft(reversed(self._pulled[start:]))
        self._number -= len(self._pulled) - start
        del self._pulled[start:]
