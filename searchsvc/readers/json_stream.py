"""JSON stream: one value after another out of a file that need not fit into memory.

`json` reads whole documents only. A list of articles is many small documents between commas: the buffer holds one of
them, or a piece of the file, whichever is larger.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from searchsvc.errors import Unreadable

_SPACE = re.compile(r"[ \t\r\n]*")
# A value cut off by the end of the buffer fails in its last characters, or where an open string began.
_LAST = 16


def one_value(text: str) -> object:
    """Return the JSON value that a line holds; raises `Unreadable` where it holds anything else."""
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as fault:
        raise Unreadable(f"not valid JSON: {fault.msg} at character {fault.colno}") from fault
    except RecursionError as fault:
        raise Unreadable("not valid JSON: nested too deeply") from fault
    except ValueError as fault:
        raise Unreadable("not valid JSON: a number with too many digits") from fault
    return value


@dataclass(slots=True)
class JsonStream:
    """JSON text that is parsed as it is read.

    `line` is where the next value begins, `size` the characters of the last, `total` those of all so far.

    Every method raises `Unreadable`, with line and column, where the text is not JSON, ends too early, or one
    value has more than `limit` characters; and what `pieces` raises.
    """

    pieces: Iterator[str]
    limit: int
    line: int = 1
    size: int = 0
    total: int = 0
    _buffer: str = ""
    _at: int = 0
    _column: int = 1
    _ended: bool = False

    def peek(self) -> str:
        """Return the next character that is not space, without taking it; nothing at the end."""
        while True:
            self._take(self._space_ends())
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def expect(self, marks: str) -> str:
        """Take the next character that is not space, which must be one of `marks`."""
        mark = self.peek()
        if not mark or mark not in marks:
            raise self._fault(f"expected {' or '.join(marks)}" if mark else "the file ends too early")
        self._take(self._at + 1)
        return mark

    def value(self) -> object:
        """Take the next value, of any kind."""
        decoder = json.JSONDecoder()
        self.peek()
        while True:
            try:
                value, end = decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as fault:
                may_go_on = fault.msg.startswith("Unterminated") or fault.pos >= len(self._buffer) - _LAST
                at = fault.pos - self._at
                if may_go_on and self._more():
                    continue
                at += self._at
                ends = fault.msg.startswith("Unterminated") or not self._buffer[at:].strip()
                raise self._fault("the file ends too early" if ends else fault.msg, at) from fault
            except RecursionError as fault:
                raise self._fault("nested too deeply") from fault
            except ValueError as fault:
                raise self._fault("a number with too many digits") from fault
            # Half a number is a number too.
            if end < len(self._buffer) or not self._more():
                self.size = end - self._at
                self.total += self.size
                self._take(end)
                return value

    def elements(self) -> Iterator[tuple[int, object]]:
        """Take a list and yield its values, each with the line on which it begins."""
        self.expect("[")
        if self.peek() == "]":
            self.expect("]")
            return
        while True:
            self.peek()
            line = self.line
            yield line, self.value()
            if self.expect(",]") == "]":
                return

    def _space_ends(self) -> int:
        match = _SPACE.match(self._buffer, self._at)
        return match.end() if match else self._at

    def _take(self, end: int) -> None:
        newlines = self._buffer.count("\n", self._at, end)
        if newlines:
            self.line += newlines
            self._column = end - self._buffer.rfind("\n", self._at, end)
        else:
            self._column += end - self._at
        self._at = end

    def _more(self) -> bool:
        """Read as much again as is waiting, so that a long value is not parsed anew for each piece."""
        waiting = len(self._buffer) - self._at
        if waiting > self.limit:
            raise self._fault(f"one record is larger than {self.limit} bytes")
        added: list[str] = []
        size = 0
        while not self._ended and size <= min(waiting, self.limit):
            piece = next(self.pieces, None)
            self._ended = piece is None
            added.append(piece or "")
            size += len(piece or "")
        self._buffer = self._buffer[self._at :] + "".join(added)
        self._at = 0
        return size > 0

    def _fault(self, reason: str, at: int | None = None) -> Unreadable:
        here = self._at if at is None else min(at, len(self._buffer))
        line = self.line + self._buffer.count("\n", self._at, here)
        newline = self._buffer.rfind("\n", self._at, here)
        column = here - newline if newline >= 0 else self._column + here - self._at
        return Unreadable(f"not valid JSON at line {line}, column {column}: {reason}")
