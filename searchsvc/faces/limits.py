"""A limit: from where the server may be called, how big a request is, how many at once, and how it says no.

request ── Door: host, origin, size ── Turns: how many at once ── asked: which words ──► api
    └──────────────────────┴───────────────────────┴────────────────────┴─────────────────┴──► refusal
"""

import ipaddress
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
from searchsvc.faces.asked import shown, worded

log = logging.getLogger("searchsvc")

BODY_BYTES = 16 * 1024 * 1024
DRAINED_BYTES = 4 * BODY_BYTES  # of a body that is too large, read so that whoever sends it hears why it is refused
READING = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_SEARCHES = 64  # at once
MOST_WRITERS = 8  # waiting for each other; each holds a thread that could search

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


# ---------------------------------------------------------------------- from where, how big, how many


class Turns:
    """Lets at most so many requests be served at once, and sends the others away; lives on the event loop."""

    def __init__(self, most: int, of: str) -> None:
        self._most = most
        self._of = of
        self._taken = 0

    async def __call__(self) -> AsyncIterator[None]:
        """Hold one turn while a request is served; raises HTTPException 429 when none is free."""
        if self._taken >= self._most:
            raise HTTPException(429, f"{self._most} {self._of} are under way already", {"Retry-After": "1"})
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def hosts_for(host: str) -> frozenset[str] | None:
    """Return the names by which a server bound to a loopback address may be called; None where any will do.

    Without this, a web page could have its own name resolve to 127.0.0.1 and read the index (DNS rebinding).
    """
    bare = host.strip("[]").lower()
    try:
        local = ipaddress.ip_address(bare).is_loopback
    except ValueError:
        local = bare == "localhost"
    named = f"[{bare}]" if ":" in bare else bare
    return frozenset({"127.0.0.1", "localhost", "[::1]", named}) if local else None


class Door:
    """ASGI middleware that looks at each request's host and size before anything else does.

    Bodies are read here, whole, so that no length that a client states or leaves out is trusted.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with 400 (host, origin) or 413 (size)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-content-type-options", b"nosniff")]}
            await send(message)

        headers = Headers(scope=scope)
        host = re.sub(r":\d*$", "", headers.get("host", "").strip().lower())
        if self._hosts is not None and host not in self._hosts:
            hint = "call it by 127.0.0.1 or localhost, or serve on another address with --host"
            no = refusal(400, "wrong_host", f"this server is not called {shown(host)}", hint)
            await no(scope, receive, sealed)
        elif scope["method"] not in READING and scope["path"] != "/search" and not _is_own(headers):
            # Otherwise any page that a browser here shows could change the index.
            hint = "call it from a page of this server, or from a program"
            no = refusal(400, "wrong_origin", f"pages of {shown(headers['origin'])} may not change this index", hint)
            await no(scope, receive, sealed)
        elif "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, sealed)
        elif (body := await _body(headers, receive)) is None:
            hint = "send several smaller lists"
            no = refusal(413, "too_large", f"the body is larger than {BODY_BYTES // 1024**2} MiB", hint)
            await no(scope, receive, sealed)
        else:
            await self._app(scope, _again(body, receive), sealed)


def _is_own(headers: Headers) -> bool:
    """Say whether a request comes from a page of this server, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").strip().lower()


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """Return a request's body, or None when it is too large."""
    stated = headers.get("content-length", "")
    if "expect" in headers and stated.isdecimal() and int(stated) > BODY_BYTES:
        return None  # the client waits to hear whether it may send
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= DRAINED_BYTES:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES:
            parts.clear()
        else:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= BODY_BYTES else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body, then what else comes."""
    waiting = [body]

    async def give() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return give


# ---------------------------------------------------------------------- how it says no


class Json(JSONResponse):
    """A JSON response, made without passing through pydantic; half characters become question marks."""

    def render(self, content: object) -> bytes:
        """Return the JSON text in UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def refusal(
    status: int, code: str, message: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Json:
    """Return the response that says why a request was not served."""
    error = {"error": {"code": code, "message": message, "hint": hint}}
    return Json(error, status, {"Cache-Control": "no-store", **(headers or {})})


def refused(error: SearchsvcError) -> Json:
    """Return the response to a request that met an error of ours."""
    status, code = KINDS[type(error)]
    if status == 503 and not isinstance(error, NoIndex | Busy):
        log.error("%s: %s", code, error.message)
    headers = {"Retry-After": "5"} if isinstance(error, Busy) else None
    return refusal(status, code, error.message, error.hint, headers)


def _allowed(request: Request) -> str:
    """Return the methods that a path takes; the framework names those of the first route alone."""
    there = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in there for method in getattr(route, "methods", None) or ()}))


def add_refusals(app: FastAPI) -> None:
    """Let an application word every error that leaves an endpoint."""

    @app.exception_handler(SearchsvcError)
    async def known(_: Request, error: SearchsvcError) -> Response:
        return refused(error)

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
        sealed = {"X-Content-Type-Options": "nosniff"}
        return refusal(500, "internal", "something went wrong in the server", "its log says what", sealed)
