"""A body: how much of a request is read, how long that may take, and how much JSON it may hold.

    body ── size ── a turn, where it is large ── time ── depth and number of values ──► bytes that can be parsed
      └───────┴─────────────────┴─────────────────┴──────────────┴──► BodyRefused

Parsing and validating cost a hundred times a body's bytes in time and memory where these are many small values, and
both hold up every other request: neither can be interrupted. So values are counted first, in passes over the bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

KIB, MIB = 1024, 1024 * 1024
SMALL = 64 * KIB  # bytes that anyone may send at any time: uvicorn holds as many before they are asked for
MAX_DEPTH = 32  # arrays and objects within each other; articles and questions need two, MCP about eight
MAX_DRAINED = 64 * MIB  # bytes of a refused body that are read all the same, so that whoever sends it hears why
DRAIN_SECONDS, DRAIN_PAUSE = 10.0, 1.0  # seconds for that, and seconds in which nothing comes that end it
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """The most that a body may have: bytes, and JSON values, each name of a field counted too."""

    size: int
    values: int


BODY_LIMITS = {
    "/articles": BodyLimit(16 * MIB, 50_000),  # 1,000 articles of 8 fields have 17,001
    "/mcp": BodyLimit(1 * MIB, 10_000),  # a call holds a question and its filters
}
OTHER_LIMIT = BodyLimit(SMALL, 1_000)  # a question with 100 sources and 100 languages has about 230


class BodyRefused(Exception):
    """A body that is refused; `status`, `code`, `message` and `hint` are those of the answer."""

    def __init__(self, status: int, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint


class ClientGone(Exception):
    """Whoever sent a body has hung up."""


def body_limit(path: str) -> BodyLimit:
    """Return the most that the body of a request to this path may have."""
    return BODY_LIMITS.get(path, OTHER_LIMIT)


class Bodies:
    """Reads the bodies of requests.

    A small one is read at once. A larger one takes one of `turns`, before it is read and until its request is answered:
    of however many are sent at the same time, only as many are held. Within each `seconds` there must come `rate` bytes
    a second of a body, or the rest of it.
    """

    def __init__(self, turns: Callable[[], AsyncIterator[None]], *, seconds: float, rate: int) -> None:
        self._turn = asynccontextmanager(turns)
        self._seconds = seconds
        self._rate = rate

    @asynccontextmanager
    async def read(self, headers: Headers, receive: Receive, bound: BodyLimit) -> AsyncIterator[bytes]:
        """Hold a whole body that can be parsed; raises BodyRefused, or ClientGone where its sender has gone."""
        async with AsyncExitStack() as turn:
            body = await self._read(headers, receive, bound, turn)
            if len(body) > SMALL:
                await asyncio.to_thread(must_be_simple, body, bound.values)
            else:
                must_be_simple(body, bound.values)
            yield body

    async def _read(self, headers: Headers, receive: Receive, bound: BodyLimit, turn: AsyncExitStack) -> bytes:
        said = headers.get("content-length", "")
        stated = int(said) if said.isdecimal() else 0
        asks_first = "expect" in headers  # nothing has been sent yet, and nothing will be
        parts: list[bytes] = []
        size, more, has_turn = 0, True, False
        looked_at, looked_size = time.monotonic(), 0
        while more:
            if max(size, stated) > bound.size:
                parts.clear()
                await _drain(receive, asks_first)
                raise _too_large(bound)
            if max(size, stated) > SMALL and not has_turn:
                try:
                    await turn.enter_async_context(self._turn())
                except HTTPException as full:
                    parts.clear()
                    await _drain(receive, asks_first)
                    raise BodyRefused(full.status_code, "too_many", full.detail, "send it again in a moment") from full
                has_turn = True
            now = time.monotonic()
            if size - looked_size >= self._rate * self._seconds:
                looked_at, looked_size = now, size
            try:
                async with asyncio.timeout(looked_at + self._seconds - now):
                    message = await receive()
            except TimeoutError as late:
                raise BodyRefused(408, "too_slow", "the body did not come in time", "send it faster, or less") from late
            part = _part(message)
            asks_first = False
            parts.append(part)
            size += len(part)
            more = message.get("more_body", False)
        if size > bound.size:
            raise _too_large(bound)
        return b"".join(parts)


def must_be_simple(body: bytes, values: int, depth: int = MAX_DEPTH) -> None:
    """Raise BodyRefused where a body, if it is JSON, is deeper or holds more values and names than that.

    Linear in the body, and without a step of Python for each of its bytes: strings are taken out, the depth is followed
    for no more brackets than may be there, and what separates values is counted.
    """
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # backslashes stand in strings alone
    if plain.count(b'"') > 2 * values:
        raise _too_many(values)
    outside = b"".join(plain.split(b'"')[::2])
    open_ = 0
    for bracket in outside.translate(None, NO_BRACKETS)[: 2 * values]:
        open_ += 1 if bracket in b"[{" else -1
        if open_ > depth:
            raise BodyRefused(400, "bad_request", "the body is not JSON that can be read: it is nested too deeply")
    if sum(map(outside.count, (b",", b":", b"[", b"{", b"]", b"}"))) > 2 * values:
        raise _too_many(values)


def _too_large(bound: BodyLimit) -> BodyRefused:
    size = f"{bound.size // MIB} MiB" if bound.size >= MIB else f"{bound.size // KIB} KiB"
    return BodyRefused(413, "too_large", f"the body is larger than {size}", _smaller(bound))


def _too_many(values: int) -> BodyRefused:
    return BodyRefused(413, "too_large", f"the body holds more than {values:,} values", "send less at once")


def _smaller(bound: BodyLimit) -> str:
    return "send several smaller lists" if bound.size >= MIB else "ask a shorter question"


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    return bytes(message.get("body", b""))


async def _drain(receive: Receive, asks_first: bool) -> None:
    """Read what comes of a body and let it go, as long as it comes."""
    if asks_first:
        return
    taken, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while more and taken < MAX_DRAINED:
                async with asyncio.timeout(DRAIN_PAUSE):
                    message = await receive()
                taken += len(_part(message))
                more = message.get("more_body", False)
