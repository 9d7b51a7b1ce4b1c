"""MCP over HTTP: one path of the server, whose requests stand alone, so that any process of several can answer each."""

from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from searchsvc.interfaces.http.bodies import bound_of
from searchsvc.interfaces.http.hostnames import Hostnames
from searchsvc.interfaces.http.limits import Turns

PATH = "/mcp"


def route(server: MCPServer[Any], *, hostnames: Hostnames, turns: Turns) -> Route:
    """Return what answers `POST /mcp`, a turn each, while the server's `session_manager` runs.

    A route of the application and no mounted one: below a mount, POST /mcp would be redirected to /mcp/, which some
    clients do not follow, and a mount at / would swallow what is said of paths that are not there.
    """
    made = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=bound_of(PATH).size,
        transport_security=_guard(hostnames),
    )
    (only,) = (one for one in made.routes if isinstance(one, Route))
    # Nothing is ever sent but answers: a GET would only hold a connection open.
    return Route(PATH, _InTurn(only.app, turns), methods=["POST"], include_in_schema=False)


class _InTurn:
    """ASGI application that serves a request once there is a turn for it."""

    def __init__(self, app: ASGIApp, turns: Turns) -> None:
        self._app = app
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with asynccontextmanager(self._turns.__call__)():
            await self._app(scope, receive, send)


def _guard(hostnames: Hostnames) -> TransportSecuritySettings:
    """Return the SDK's own guard against DNS rebinding, behind that of `limits.Door` and with the same names.

    It knows names alone: where any address in figures will do, `Door` guards by itself.
    """
    names = sorted(hostnames.names)
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
    ported = [f"{one}:*" for one in names], [f"{one}:*" for one in origins]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=not hostnames.addresses,
        allowed_hosts=names + ported[0],
        allowed_origins=origins + ported[1],
    )
