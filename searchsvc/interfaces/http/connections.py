"""A connection: how long it may keep the server waiting, and how much of it is held meanwhile.

    connected ── head ── body (see `bodies`) ── answer ── idle ─┐
                  ▲                                │            │
                  └──────────── too slow, too large, not taken: refused or dropped

uvicorn's own protocol reads as much of a head as is sent, waits for its end for ever, and holds an answer that nobody
takes. This one watches it from within: the parser calls what is overridden here at each step of a request.
"""

import asyncio
import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from searchsvc.interfaces.http.middleware import LIMITS, Limits
from searchsvc.interfaces.http.responses import error_response

BODIES = frozenset({b"content-length", b"transfer-encoding"})  # headers that announce a body
PIECE = 16 * 1024  # bytes that the parser is given at once: by so much a head may be larger than allowed
LINGERING = 1.0  # seconds for which what is still sent is let go, so that whoever sends it hears why it was refused


class Connection(HttpToolsProtocol):
    """uvicorn's protocol within `limits`."""

    def __init__(self, *given: Any, limits: Limits = LIMITS, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limits = limits
        self._reading: str | None = None  # head or body; None between two requests
        self._parted = True  # whether the parser has reached the end of anything in what it was last given
        self._unparted = 0  # bytes since it has
        self._deaf = False  # what else comes is let go
        self._refused: tuple[int, str, str] | None = None
        self._head_clock: asyncio.TimerHandle | None = None
        self._answer_clock: asyncio.TimerHandle | None = None
        self._left = 0  # bytes of the answer that were not taken when that clock was set
        self._stalled_at = 0.0

    # ------------------------------------------------------------------ connecting

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a connection in, or refuse it where there are too many."""
        super().connection_made(transport)
        limits, host = self._limits, self.client and self.client[0]
        same = sum(
            isinstance(one, Connection) and one.client is not None and one.client[0] == host for one in self.connections
        )
        if len(self.connections) > limits.connections or same > limits.address_connections:
            self.connections.discard(self)
            self._deaf = True
            transport.write(_answer(503, "too_many", "too many connections are open"))
            transport.close()
            self._watch_answer()
        else:
            self._start_head_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        super().connection_lost(exc)
        self._stop_head_clock()
        self._stop_answer_clock()

    # ------------------------------------------------------------------ reading

    def data_received(self, data: bytes) -> None:
        """Parse what has come, piece by piece."""
        between = self._reading is None
        if between:
            self._unset_keepalive_if_required()
        for start in range(0, len(data), PIECE):
            if self._deaf:
                return
            self._parse(data[start : start + PIECE] if len(data) > PIECE else data)
        begun = self._reading == "head" or (between and not self._parted)  # or nothing but blank lines has come
        if begun and self._head_clock is None and not self._deaf:
            self._start_head_clock()

    def _parse(self, piece: bytes) -> None:
        self._parted = False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # Answered as any other request; the parser takes what follows for the other protocol.
            self._deaf = True
            if self.cycle is not None:
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(*(self._refused or (400, "bad_request", "this is no request of HTTP/1.1")))
            return
        self._unparted = 0 if self._parted else self._unparted + len(piece)
        if self._unparted > self._limits.head_bytes:
            self._refuse(431, "too_large", f"the head is larger than {self._limits.head_bytes // 1024} KiB")

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._reading, self._parted = "head", True
        self._unset_keepalive_if_required()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one that follows a body."""
        if len(self.headers) >= self._limits.headers:
            self._refused = (431, "too_large", f"there are more than {self._limits.headers} headers")
            raise ValueError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have a request answered, or wait for its turn behind those that were sent before."""
        self._reading, self._parted = "body", True
        self._stop_head_clock()
        if len(self.pipeline) >= self._limits.pipelined:
            # The last that was taken is answered, and the connection closed: HTTP lets the rest be sent again.
            self._deaf, self.cycle.keep_alive = True, False
            raise ValueError
        if self.parser.should_upgrade() and any(name in BODIES and value != b"0" for name, value in self.headers):
            # The parser would leave the body out.
            said = "a body cannot come with the header Upgrade; send it as HTTP/1.1 alone"
            self._refused = (400, "bad_request", said)
            raise ValueError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._parted = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the reading of a request."""
        self._reading, self._parted = None, True
        super().on_message_complete()

    def _start_head_clock(self) -> None:
        self._head_clock = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def _stop_head_clock(self) -> None:
        if self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None

    def _head_is_late(self) -> None:
        self._head_clock = None
        if self.cycle is None and self._reading is None:
            self.transport.close()  # nothing was ever sent
        else:
            self._refuse(408, "too_slow", f"no request came within {self._limits.head_seconds:g} seconds")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Say no to what is being read, after what was read before is answered, and read no more."""
        self._deaf = True
        self._stop_head_clock()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (self.pipeline or not cycle.more_body):
            cycle.keep_alive = False
        elif cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
        elif not self.transport.is_closing():
            if cycle is not None:
                cycle.disconnected = True  # for whoever answers what was cut short
                cycle.message_event.set()
            self.flow.resume_reading()
            self.transport.write(_answer(status, code, message))
            self.transport.write_eof()
            self.loop.call_later(LINGERING, self.transport.abort)

    # ------------------------------------------------------------------ answering

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to take the last answer."""
        super().on_response_complete()
        self._watch_answer()

    def pause_writing(self) -> None:
        """Watch an answer that the client does not take at once, and hold no more of them than allowed."""
        super().pause_writing()
        self._stalled_at = time.monotonic()
        self._watch_answer()
        stalled = [one for one in self.connections if isinstance(one, Connection) and one.flow.write_paused]
        held = sum(one.transport.get_write_buffer_size() for one in stalled)
        for one in sorted(stalled, key=lambda one: one._stalled_at):
            if held <= self._limits.answers_bytes:
                break
            held -= one.transport.get_write_buffer_size()
            one.transport.abort()

    def resume_writing(self) -> None:
        """Stop the clock of what was taken; the next part of the answer has its own."""
        super().resume_writing()
        self._stop_answer_clock()
        self._watch_answer()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing was asked for long."""
        super().timeout_keep_alive_handler()
        self._watch_answer()

    def _watch_answer(self) -> None:
        """Set a clock where more of an answer is to be taken, and nothing can be added to it meanwhile."""
        left = self.transport.get_write_buffer_size()
        if self._answer_clock is None and left and (self.flow.write_paused or self.transport.is_closing()):
            self._left = left
            self._answer_clock = self.loop.call_later(self._limits.answer_seconds, self._look_at_answer)

    def _stop_answer_clock(self) -> None:
        if self._answer_clock is not None:
            self._answer_clock.cancel()
            self._answer_clock = None

    def _look_at_answer(self) -> None:
        self._answer_clock = None
        wanted = int(self._limits.answer_rate * self._limits.answer_seconds)
        watched = self.flow.write_paused or self.transport.is_closing()
        if watched and self.transport.get_write_buffer_size() > max(0, self._left - wanted):
            self.transport.abort()
        else:
            self._watch_answer()


def _answer(status: int, code: str, message: str) -> bytes:
    """Return a refusal as it is sent."""
    response = error_response(status, code, message, headers={"Connection": "close"})
    headers = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return b"%s%s\r\n%s" % (STATUS_LINE[status], headers, response.body)
