"""Middleware: from where the server may be called, how big a request may be, and how many are served at once.

request ── connections ── Guard: host, origin, body ── Slots: how many at once ── request model ──► endpoint
  └───────────┴───────────────────┴──────────────────────┴───────────────────────────┴──► error_response
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchsvc.interfaces.http.bodies import Bodies, BodyRefused, ClientGone, body_limit
from searchsvc.interfaces.http.hostnames import Hostnames, host_name
from searchsvc.interfaces.http.requests import show_value
from searchsvc.interfaces.http.responses import SECURITY_HEADERS, error_response

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RETRY = {"Retry-After": "1"}  # seconds
MAX_SEARCHES = 64  # at once
MAX_QUOTE_CHECKS = 4  # at once: one against long articles may take a core for a second
MAX_WRITERS = 8  # waiting for each other; each holds a thread that could search
MAX_LARGE_BODIES = 4  # above `bodies.SMALL`; the largest takes 16 MiB, and four times that while it is parsed


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process of a server takes of its clients: seconds, bytes, and numbers of things."""

    connections: int = 512  # half of the 1,024 files that many systems let a process open
    address_connections: int = 256  # from one address; all that comes through a proxy has the proxy's
    head_bytes: int = 64 * 1024  # request line and headers; a query's filters may need half of it
    headers: int = 100
    head_seconds: float = 15.0  # for the head of a request, from its first byte
    idle_seconds: int = 60  # between two requests; proxies keep their connections for as long
    pipelined: int = 32  # requests sent before the answer to the first
    body_seconds: float = 10.0  # within which a client must send
    body_rate: int = 64 * 1024  # so many bytes a second of its body, or the rest of it
    answer_seconds: float = 15.0  # within which a client must take
    answer_rate: int = 16 * 1024  # so many bytes a second of its answer, or the rest of it
    answers_bytes: int = 256 * 1024 * 1024  # of all answers that are not taken yet; the oldest go first


LIMITS = Limits()


class Slots:
    """Lets at most so many requests be served at once, and refuses the others; lives on the event loop."""

    def __init__(self, limit: int, noun: str) -> None:
        self._limit = limit
        self._noun = noun
        self._taken = 0

    async def __call__(self) -> AsyncIterator[None]:
        """Hold one slot while a request is served; raises HTTPException 429 when none is free."""
        if self._taken >= self._limit:
            raise HTTPException(429, f"{self._limit} {self._noun} are under way already", RETRY)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Guard:
    """ASGI middleware that checks each request's host, origin and body before anything else does.

    Bodies are read here, whole, so that no length that a client states or leaves out is trusted.
    """

    def __init__(self, app: ASGIApp, hostnames: Hostnames, limits: Limits) -> None:
        self._app = app
        self._hostnames = hostnames
        slots = Slots(MAX_LARGE_BODIES, "large requests")
        self._bodies = Bodies(slots.__call__, seconds=limits.body_seconds, rate=limits.body_rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it: with 400 (host, origin), or as `bodies` says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        host = host_name(headers.get("host", ""))
        if host not in self._hostnames or len(headers.getlist("host")) > 1:
            hint = "call it by its address, or start it with --hostname and this name if it is its own"
            refusal = error_response(400, "wrong_host", f"this server is not called {show_value(host)}", hint)
            await refusal(scope, receive, send_secured)
        elif scope["method"] not in READ_METHODS and scope["path"] != "/search" and not _is_same_origin(headers):
            # Otherwise any page that a browser here shows could change the index.
            message = f"pages of {show_value(headers['origin'])} may not change this index"
            refusal = error_response(
                400, "wrong_origin", message, "call it from a page of this server, or from a program"
            )
            await refusal(scope, receive, send_secured)
        elif "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send_secured)
        else:
            try:
                async with self._bodies.read(headers, receive, body_limit(scope["path"])) as body:
                    await self._app(scope, _replay(body, receive), send_secured)
            except BodyRefused as error:
                extra = {"Connection": "close"} if error.status == 408 else RETRY if error.status == 429 else None
                refusal = error_response(error.status, error.code, error.message, error.hint, extra)
                await refusal(scope, receive, send_secured)
            except ClientGone:
                return


def _is_same_origin(headers: Headers) -> bool:
    """Say whether a request comes from a page of this server, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").strip().lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body, then what else comes."""
    bodies = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": bodies.pop(), "more_body": False} if bodies else await receive()

    return replay
