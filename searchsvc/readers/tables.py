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
    """Yield the article of each row; a broken row is a `Problem`. `limit`: bytes of one row.

    Columns are separated by the most frequent of comma, tab, semicolon and bar in the first row. Raises
    `OSError`, and `Unreadable` where the file is damaged, empty, or has no column for the text.
    """
    rows = _Rows(text_lines(path, limit), limit)
    header: list[str] = []
    count, in_broken_row = 0, False
    while True:
        try:
            row = rows.next_row(len(header))
        except Unreadable as fault:
            if not header:
                raise
            count += 1
            yield Problem(f"{path}, line {rows.began}", fault.message)
            in_broken_row = rows.in_broken_row
            if in_broken_row and len(header) == 1:
                raise Unreadable("nothing after the broken row was read") from fault
            continue
        if row is None:
            break
        if not any(cell.strip() for cell in row):
            continue
        if in_broken_row and len(row) != len(header):
            continue  # still inside the broken row, which would pass for many
        in_broken_row = False
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

    A quotation mark that is never closed would swallow the rest of the file: such a row is given up, its lines but the
    first are read again, and `in_broken_row` says that they may be part of it still. Where each of these opens a
    quotation mark as well, it is not read to the end once more: all lines up to `_open_until` stood within one, so that
    a row which goes on past its first line there fails as the row did that was given up, for `_open_reason`.
    """

    source: Iterator[str | Unreadable]
    limit: int
    began: int = 0
    in_broken_row: bool = False
    _number: int = 0
    _size: int = 0
    _delimiter: str = ""
    _open_until: int = 0
    _open_reason: str = ""
    _read_lines: list[str | Unreadable] = field(default_factory=list)
    _put_back_lines: deque[str | Unreadable] = field(default_factory=deque)

    def next_row(self, columns: int) -> list[str] | None:
        """Return the next row, None at the end; raises `Unreadable` for one that cannot be read."""
        self.began, self.in_broken_row, self._size, self._read_lines = self._number + 1, False, 0, []
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
                    return next(csv.reader(self._lines_of_row(), delimiter=self._delimiter, strict=True), None)
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
            return self._unquoted(columns, fault)

    def _unquoted(self, columns: int, fault: csv.Error) -> list[str]:
        """Read a line whose quotation marks mean nothing, if it then has as many columns as the first."""
        line = self._read_lines[0]
        if len(self._read_lines) == 1 and isinstance(line, str):
            row = line.split(self._delimiter)
            if len(row) == columns:
                return row
        raise Unreadable(f"not a row: {fault}") from fault

    def _lines_of_row(self) -> Iterator[str]:
        while (line := self._line()) is not None:
            self._size += len(line) + 1
            if self._size > self.limit:
                raise too_large(self.limit)
            yield line + "\n"
            if self._number < self._open_until:
                self.in_broken_row = True
                raise Unreadable(self._open_reason)

    def _line(self) -> str | None:
        line = self._put_back_lines.popleft() if self._put_back_lines else next(self.source, None)
        if line is None:
            return None
        self._number += 1
        self._read_lines.append(line)
        if isinstance(line, Unreadable):
            raise line
        return line

    def _give_up(self, reason: str) -> None:
        self._open_until, self._open_reason = self._number, reason
        self._put_back(1)
        self.in_broken_row = True

    def _put_back(self, start: int) -> None:
        self._put_back_lines.extendleft(reversed(self._read_lines[start:]))
        self._number -= len(self._read_lines) - start
        del self._read_lines[start:]
