"""A limit: from where the server may be called, how big a request is, how many at once, and how it says no.

request ── connections ── Door: host, origin ── bodies ── Turns: how many at once ── asked: which words ──► api
    └───────────┴──────────────────┴──────────────┴──────────────┴────────────────────────┴──► refusal
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from searchsvc import schemas
from searchsvc.errors import (
    BadInput,
    Busy,
    DamagedCatalogue,
    DamagedIndex,
    ModelFailed,
    ModelMismatch,
    NoIndex,
    NotFound,
    SearchsvcError,
    TooLittleMemory,
    Unreadable,
    Unwritable,
)
from searchsvc.interfaces.http.bodies import Bodies, Left, Unread, bound_of
from searchsvc.interfaces.http.hostnames import Hostnames, called
from searchsvc.interfaces.http.paths import Places
from searchsvc.interfaces.http.requests import shown, worded

log = logging.getLogger("searchsvc")

READING = frozenset({"GET", "HEAD", "OPTIONS"})
RETRY = {"Retry-After": "1"}  # seconds
MOST_SEARCHES = 64  # at once
MOST_QUOTE_CHECKS = 4  # at once: one against long articles may take a core for a second
MOST_WRITERS = 8  # waiting for each other; each holds a thread that could search
MOST_LARGE = 4  # bodies above `bodies.SMALL`; the largest takes 16 MiB, and four times that while it is parsed

# What every answer carries, unless it says otherwise itself: no other page may show it, no copy of it be kept, and
# nothing in it run or be loaded.
SEALS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# Status and code of each kind of error, as drawn in `errors`.
KINDS: dict[type[SearchsvcError], tuple[int, str]] = {
    BadInput: (422, "bad_input"),
    NoIndex: (503, "no_index"),
    NotFound: (404, "not_found"),
    Unreadable: (422, "unreadable"),
    Busy: (503, "busy"),
    Unwritable: (503, "unwritable"),
    DamagedCatalogue: (503, "damaged_catalogue"),
    DamagedIndex: (503, "damaged_index"),
    ModelMismatch: (503, "model_mismatch"),
    ModelFailed: (503, "model_failed"),
    TooLittleMemory: (503, "too_little_memory"),
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many"}


# ---------------------------------------------------------------------- how long, from where, how many


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process of a server takes of its clients: seconds, bytes, and numbers of things."""

    connections: int = 512  # half of the 1,024 files that many systems let a process open
    address_connections: int = 256  # from one address; all that comes through a proxy has the proxy's
    head_bytes: int = 64 * 1024  # request line and headers; a question's filters may need half of it
    headers: int = 100
    head_seconds: float = 15.0  # for the head of a request, from its first byte
    idle_seconds: int = 60  # between two requests; proxies keep their connections for as long
    pipelined: int = 32  # requests sent before the answer to the first
    body_seconds: float = 10.0  # within which a client must send
    body_rate: int = 64 * 1024  # so many bytes a second of its body, or the rest of it
    answer_seconds: float = 15.0  # within which a client must take
    answer_rate: int = 16 * 1024  # so many bytes a second of its answer, or the rest of it
    answers_bytes: int = 256 * 1024 * 1024  # of all answers that are not taken yet; the oldest go first


class Turns:
    """Lets at most so many requests be served at once, and sends the others away; lives on the event loop."""

    def __init__(self, most: int, of: str) -> None:
        self._most = most
        self._of = of
        self._taken = 0

    async def __call__(self) -> AsyncIterator[None]:
        """Hold one turn while a request is served; raises HTTPException 429 when none is free."""
        if self._taken >= self._most:
            raise HTTPException(429, f"{self._most} {self._of} are under way already", RETRY)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


LIMITS = Limits()


class Door:
    """ASGI middleware that looks at each request's host, origin and body before anything else does.

    Bodies are read here, whole, so that no length that a client states or leaves out is trusted.
    """

    def __init__(self, app: ASGIApp, hostnames: Hostnames, limits: Limits) -> None:
        self._app = app
        self._hostnames = hostnames
        large = Turns(MOST_LARGE, "large requests")
        self._bodies = Bodies(large.__call__, seconds=limits.body_seconds, rate=limits.body_rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it: with 400 (host, origin), or as `bodies` says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SEALS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        host = called(headers.get("host", ""))
        if host not in self._hostnames or len(headers.getlist("host")) > 1:
            hint = "call it by its address, or start it with --hostname and this name if it is its own"
            no = refusal(400, "wrong_host", f"this server is not called {shown(host)}", hint)
            await no(scope, receive, sealed)
        elif scope["method"] not in READING and scope["path"] != "/search" and not _is_own(headers):
            # Otherwise any page that a browser here shows could change the index.
            hint = "call it from a page of this server, or from a program"
            no = refusal(400, "wrong_origin", f"pages of {shown(headers['origin'])} may not change this index", hint)
            await no(scope, receive, sealed)
        elif "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, sealed)
        else:
            try:
                async with self._bodies.read(headers, receive, bound_of(scope["path"])) as body:
                    await self._app(scope, _again(body, receive), sealed)
            except Unread as no:
                ends = {"Connection": "close"} if no.status == 408 else RETRY if no.status == 429 else None
                await refusal(no.status, no.code, no.message, no.hint, ends)(scope, receive, sealed)
            except Left:
                return


def _is_own(headers: Headers) -> bool:
    """Say whether a request comes from a page of this server, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").strip().lower()


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body, then what else comes."""
    waiting = [body]

    async def give() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return give


# ---------------------------------------------------------------------- how it says no


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of an operation that may answer with these statuses, and 400, as any may."""
    said = {
        400: "The request comes from where it may not, or its body cannot be read.",
        404: "There is no such article or job.",
        413: "The request, or an article in it, is too large.",
        422: "The request cannot be understood.",
        429: "Too many requests are under way; try again after the seconds in Retry-After.",
        503: "It cannot be served now: no index, no model, or another process is writing.",
    }
    return {status: {"model": schemas.ErrorResponse, "description": said[status]} for status in (400, *statuses)}


class Json(JSONResponse):
    """A JSON response, made without passing through pydantic; half characters become question marks."""

    def render(self, content: object) -> bytes:
        """Return the JSON text in UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def refusal(
    status: int, code: str, message: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Json:
    """Return the response that says why a request was not served."""
    error: schemas.ErrorResponse = {"error": {"code": code, "message": message, "hint": hint}}
    return Json(error, status, {**SEALS, **(headers or {})})


def refused(error: SearchsvcError, places: Places) -> Json:
    """Return the response to a request that met an error of ours; the log alone is told where that is."""
    status, code = KINDS[type(error)]
    if status == 503 and not isinstance(error, NoIndex | Busy):
        log.error("%s: %s", code, error.message)
    headers = {"Retry-After": "5"} if isinstance(error, Busy) else None
    return refusal(status, code, places.hidden(error.message), error.hint and places.hidden(error.hint), headers)


def _allowed(request: Request) -> str:
    """Return the methods that a path takes; the framework names those of the first route alone."""
    there = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in there for method in getattr(route, "methods", None) or ()}))


def add_refusals(app: FastAPI, places: Places) -> None:
    """Let an application word every error that leaves an endpoint."""

    @app.exception_handler(SearchsvcError)
    async def known(_: Request, error: SearchsvcError) -> Response:
        return refused(error, places)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return refusal(422, "bad_input", *worded(error.errors(), error.body))

    @app.exception_handler(StarletteHTTPException)
    async def http(request: Request, error: StarletteHTTPException) -> Response:
        message, hint = str(error.detail), None
        if isinstance(error.__cause__, RecursionError):
            message = "the body is not JSON that can be read: it is nested too deeply"
        elif error.__cause__ is not None:
            message = "the body is not JSON that can be read"
        elif error.status_code == 404:
            message, hint = f"there is nothing at {request.url.path}", "GET /docs lists what can be asked"
        elif error.status_code == 405:
            message, hint = f"{request.url.path} does not take {request.method}", "GET /docs lists what can be asked"
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return refusal(error.status_code, CODES.get(error.status_code, "refused"), message, hint, headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        # The last resort: whoever asked learns that it failed, the log learns why.
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "internal", "something went wrong in the server", "its log says what")
