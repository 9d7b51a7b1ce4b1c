"""The server: the HTTP API on a port, answered by one process or several, and the index kept in step beside them."""

import asyncio
import logging
import multiprocessing
import os
import shlex
import signal
import socket
import threading
import time
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from searchsvc.errors import BadInput
from searchsvc.interfaces.cli.arguments import source
from searchsvc.interfaces.http.app import create_app
from searchsvc.interfaces.http.connections import Connection
from searchsvc.interfaces.http.hostnames import hostnames_of, is_local
from searchsvc.interfaces.http.middleware import LIMITS, Limits
from searchsvc.library import Library
from searchsvc.service.jobs import STEADY, Following, ending
from searchsvc.settings import Settings

log = logging.getLogger("searchsvc")

HUNG = 60.0  # seconds without an answer: a process that loads the model on a busy machine is not dead
SENT_AHEAD = 128 * 1024  # bytes of an answer that the system takes before its client does; Linux doubles this

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


def serve(library: Library, limits: Limits = LIMITS) -> None:
    """Serve a library over HTTP until interrupted; port 0 takes a free one. Exits with 1 when it cannot listen.

    `limits` are those of each process; of several processes, only connections heed what differs from `LIMITS`.
    """
    settings = library.settings
    several = settings.workers > 1
    config = uvicorn.Config(
        "searchsvc.interfaces.http.server:worker" if several else _app(library, limits),
        http=cast(type[asyncio.Protocol], partial(Connection, limits=limits)),
        ws="none",
        factory=several,
        workers=settings.workers,
        access_log=False,
        log_config=LOGGING,
        server_header=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=round(HUNG),
    )
    sources = shlex.split(settings.watch)
    missing = [one for one in sources if isinstance(source(one), Path) and not os.path.lexists(source(one))]
    if missing:
        raise BadInput(f"there is no {', '.join(missing)}", "name files, folders and feeds that are there")
    listener, address = _listen(settings.host, settings.port)
    if (said := warning(settings, address)) is not None:
        log.warning("%s", said)
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
            workers = Workers(library, config, [listener])
            workers.run()
            if workers.failed:
                log.error("searchsvc: its processes cannot be started; what they said above may say why")
                raise SystemExit(1)
        else:
            Server(config).run([listener])


class Workers(Multiprocess):
    """Several processes; one that ends or hangs is replaced and that is said, and one that keeps ending ever later.

    uvicorn's own way to look at them waits for their answers: whoever ends meanwhile, or is told to, is not noticed.
    """

    def __init__(self, library: Library, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False  # whether they cannot be started at all
        self._library = library
        self._asked: dict[int | None, float] = {}  # when those were asked that have not answered yet, by process id
        self._replace_at = self._steady_at = 0.0  # all three: `time.monotonic`

    def keep_subprocess_alive(self) -> None:
        """Replace what has ended, and what has not answered for too long; never waits."""
        faults = {place: fault for place, one in enumerate(self.processes) if (fault := self._fault(one))}
        now = time.monotonic()
        if not faults and now > self._steady_at:
            self._library.health.well("workers")
        if not faults or now < self._replace_at or self.should_exit.is_set():
            return
        for place in faults:
            old = self.processes[place]
            old.kill()
            old.join()
            self._asked.pop(old.pid, None)
            if old.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
                return
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()
        said = f"{', '.join(faults.values())}; replaced"
        self._replace_at = time.monotonic() + self._library.health.failed("workers", said)
        self._steady_at = self._replace_at + STEADY

    def _fault(self, process: Process) -> str:
        """Return what is wrong with a process, or nothing."""
        if process.exitcode is not None:
            return f"process {process.pid} {ending(process.exitcode)}"
        asked, now = self._asked.get(process.pid), time.monotonic()
        with suppress(OSError, EOFError):  # it is about to end
            if asked is None:
                process.parent_conn.send(b"ping")
                self._asked[process.pid] = now
            elif process.parent_conn.poll():
                process.parent_conn.recv()
                del self._asked[process.pid]
            elif now - asked > HUNG:
                return f"process {process.pid} did not answer for {HUNG:g} seconds"
        return ""


def worker() -> FastAPI:
    """Return the application of one process of several, which finds its settings in the environment."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    return _app(Library(Settings.from_environment(), announce=log.info))


def _end_with_parent() -> None:
    """Stop once the process that started this one is gone, however it went: else the port would stay taken."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _app(library: Library, limits: Limits = LIMITS) -> FastAPI:
    settings = library.settings
    sources = shlex.split(settings.watch)
    return create_app(library, host=settings.host, hostnames=settings.names, sources=sources, limits=limits)


def warning(settings: Settings, address: str) -> str | None:
    """Return who can reach a server that others can reach, and what they may do; None where only this machine can."""
    if is_local(settings.host):
        return None
    names = ", ".join(sorted(hostnames_of(settings.host, settings.names).names))
    return (
        f"whoever reaches {address} can search, read, add and delete articles: it has no password. It answers to "
        f"addresses and to the names {names}; --hostname NAME adds one. Put what keeps others out in front of it, or "
        "leave out --host."
    )


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
    # Else the system holds megabytes for each client that is slow, and `connections` does not see that it takes any.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
    return listener, f"http://{named}:{listener.getsockname()[1]}"
