"""MCP over HTTP: one path of the server, whose requests stand alone, so that any process of several can answer each."""

from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from searchsvc.interfaces.http.bodies import body_limit
from searchsvc.interfaces.http.hostnames import Hostnames
from searchsvc.interfaces.http.middleware import Slots

PATH = "/mcp"


def mcp_route(server: MCPServer[Any], *, hostnames: Hostnames, slots: Slots) -> Route:
    """Return what answers `POST /mcp`, a slot each, while the server's `session_manager` runs.

    A route of the application and no mounted one: below a mount, POST /mcp would be redirected to /mcp/, which some
    clients do not follow, and a mount at / would swallow what is said of paths that are not there.
    """
    inner = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=body_limit(PATH).size,
        transport_security=_guard(hostnames),
    )
    (endpoint,) = (each for each in inner.routes if isinstance(each, Route))
    # Nothing is ever sent but answers: a GET would only hold a connection open.
    return Route(PATH, _WithSlot(endpoint.app, slots), methods=["POST"], include_in_schema=False)


class _WithSlot:
    """ASGI application that serves a request when there is a slot for it."""

    def __init__(self, app: ASGIApp, slots: Slots) -> None:
        self._app = app
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with asynccontextmanager(self._slots.__call__)():
            await self._app(scope, receive, send)


def _guard(hostnames: Hostnames) -> TransportSecuritySettings:
    """Return the SDK's own guard against DNS rebinding, behind that of `middleware.Guard` and with the same names.

    It knows names alone: where any numeric address will do, `Guard` guards by itself.
    """
    names = sorted(hostnames.names)
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=not hostnames.addresses,
        allowed_hosts=names + [f"{name}:*" for name in names],
        allowed_origins=origins + [f"{origin}:*" for origin in origins],
    )
