"""Responses: JSON as it is sent, and every error in one form, in words that give nothing of this machine away."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from searchsvc import schemas
from searchsvc.errors import Busy, NoIndex, SearchsvcError
from searchsvc.interfaces.http.hidden_paths import HiddenPaths
from searchsvc.interfaces.http.request_errors import describe_faults

log = logging.getLogger("searchsvc")

NO_STORE = {"Cache-Control": "no-store"}
# What every response carries, unless it says otherwise itself: no other page may show it, no copy of it be kept, and
# nothing in it run or be loaded.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    **NO_STORE,
}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many"}
DESCRIPTIONS = {
    400: "The request comes from where it may not, or its body cannot be read.",
    404: "There is no such article or job.",
    413: "The request, or an article in it, is too large.",
    422: "The request cannot be understood.",
    429: "Too many requests are under way; try again after the seconds in Retry-After.",
    503: "It cannot be served now: no index, no model, or another process is writing.",
}


class Json(JSONResponse):
    """A JSON response, made without passing through pydantic; half characters become question marks."""

    def render(self, content: object) -> bytes:
        """Return the JSON text in UTF-8."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def fresh(content: object) -> Json:
    """Return a JSON response that no cache keeps."""
    return Json(content, headers=NO_STORE)


def document_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an operation that may answer with these statuses, and with 400, as any may."""
    return {
        status: {"model": schemas.ErrorResponse, "description": DESCRIPTIONS[status]} for status in (400, *statuses)
    }


def error_response(
    status: int, code: str, message: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Json:
    """Return the response that says why a request was not served."""
    error: schemas.ErrorResponse = {"error": {"code": code, "message": message, "hint": hint}}
    return Json(error, status, {**SECURITY_HEADERS, **(headers or {})})


def describe_error(error: SearchsvcError, hidden: HiddenPaths) -> Json:
    """Return the response to a request that met one of our errors, without the folders that its message names."""
    if error.http_status == 503 and not isinstance(error, NoIndex | Busy):
        log.error("%s: %s", error.code, error.message)
    headers = {"Retry-After": "5"} if isinstance(error, Busy) else None
    hint = error.hint and hidden.hide(error.hint)
    return error_response(error.http_status, error.code, hidden.hide(error.message), hint, headers)


def add_error_handlers(app: FastAPI, hidden: HiddenPaths) -> None:
    """Let an application answer every error that leaves an endpoint in our form."""

    @app.exception_handler(SearchsvcError)
    async def known(_: Request, error: SearchsvcError) -> Response:
        return describe_error(error, hidden)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return error_response(422, "bad_input", *describe_faults(error.errors(), error.body))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        message, hint = str(error.detail), None
        if isinstance(error.__cause__, RecursionError):
            message = "the body is not JSON that can be read: it is nested too deeply"
        elif error.__cause__ is not None:
            message = "the body is not JSON that can be read"
        elif error.status_code == 404:
            message, hint = f"there is nothing at {request.url.path}", "GET /docs lists what can be asked"
        elif error.status_code == 405:
            message, hint = f"{request.url.path} does not take {request.method}", "GET /docs lists what can be asked"
        headers = {"Allow": _methods(request)} if error.status_code == 405 else error.headers
        return error_response(error.status_code, CODES.get(error.status_code, "refused"), message, hint, headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        # The last resort: the client learns that it failed, the log learns why.
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(500, "internal", "something went wrong in the server", "its log says what")


def _methods(request: Request) -> str:
    """Return the methods that a path takes; the framework names those of the first route alone."""
    routes = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in routes for method in getattr(route, "methods", None) or ()}))
