"""The server: the HTTP API on a port, answered by one process or several, and the index kept in step beside them."""

import logging
import multiprocessing
import os
import shlex
import signal
import socket
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from searchsvc.background import STEADY, Following, ending
from searchsvc.errors import BadInput
from searchsvc.faces.api import create_app
from searchsvc.faces.arguments import source
from searchsvc.library import Library
from searchsvc.settings import Settings

log = logging.getLogger("searchsvc")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "plain"}},
    "loggers": {
        "searchsvc": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


def serve(library: Library) -> None:
    """Serve a library over HTTP until interrupted; port 0 takes a free one. Exits with 1 when it cannot listen."""
    settings = library.settings
    several = settings.workers > 1
    config = uvicorn.Config(
        "searchsvc.faces.server:worker" if several else _app(library),
        factory=several,
        workers=settings.workers,
        access_log=False,
        log_config=LOGGING,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=60,  # a process that loads the model on a busy machine is not dead
    )
    sources = shlex.split(settings.watch)
    missing = [one for one in sources if isinstance(source(one), Path) and not os.path.lexists(source(one))]
    if missing:
        raise BadInput(f"there is no {', '.join(missing)}", "name files, folders and feeds that are there")
    listener, address = _listen(settings.host, settings.port)
    # uvicorn raises the signal that ended it once more, which must not keep what is beside the server from ending.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            log.info("searchsvc listens on %s", address)

    with Following(library, sources) if sources else nullcontext(), suppress(KeyboardInterrupt):
        if several:
            os.environ.update(settings.environment())
            log.info("searchsvc listens on %s with %d processes", address, settings.workers)
            Workers(library, config, [listener]).run()
        else:
            Server(config).run([listener])


class Workers(Multiprocess):
    """Several processes; one that ends by itself is replaced, said and on record, and no faster than it makes sense."""

    def __init__(self, library: Library, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._library = library
        self._next_look = self._steady = 0.0  # `time.monotonic`

    def keep_subprocess_alive(self) -> None:
        """Replace what has ended, unless one was replaced too lately."""
        now = time.monotonic()
        if now < self._next_look:
            return
        before = [*self.processes]
        super().keep_subprocess_alive()
        ended = [old for old, new in zip(before, self.processes, strict=True) if old is not new]
        if ended:
            said = ", ".join(f"process {one.pid} {ending(one.exitcode or 0)}" for one in ended)
            # The first is replaced at once, and those that end after it later and later.
            self._next_look = time.monotonic() + self._library.health.failed("workers", f"{said}; it was replaced")
            self._steady = self._next_look + STEADY
        elif now > self._steady:
            self._library.health.well("workers")


def worker() -> FastAPI:
    """Return the application of one process of several, which finds its settings in the environment."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    return _app(Library(Settings.from_environment(), announce=log.info))


def _end_with_parent() -> None:
    """Stop once the process that started this one is gone, however it went: else the port would stay taken."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _app(library: Library) -> FastAPI:
    settings = library.settings
    return create_app(library, host=settings.host, sources=shlex.split(settings.watch))


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a listening socket and its address; uvicorn itself would exit with 3, which means something else here."""
    named = f"[{host}]" if ":" in host else host
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as fault:
        why = str(fault.strerror).partition(" (while")[0]  # the address again
        log.error("searchsvc: cannot listen on http://%s:%d: %s", named, port, why)
        raise SystemExit(1) from fault
    # asyncio sets this only on sockets that name their protocol; without it every answer waits 40 ms for the client's
    # acknowledgement of its own headers. Accepted connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, f"http://{named}:{listener.getsockname()[1]}"
