"""The server: the HTTP API on a port, answered by one process or several, and the sync of the index beside them."""

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
from searchsvc.service.jobs import STEADY_SECONDS, WatchProcess, ending
from searchsvc.settings import Settings

log = logging.getLogger("searchsvc")

HANG_SECONDS = 60.0  # without an answer: a process that loads the model on a busy machine is not dead
SEND_BUFFER = 128 * 1024  # bytes of an answer that the system takes before its client does; Linux doubles this

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "filters": {"uncancelled": {"()": "searchsvc.interfaces.http.server.Uncancelled"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "plain",
            "filters": ["uncancelled"],
        }
    },
    "loggers": {
        "searchsvc": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


class Uncancelled(logging.Filter):
    """Leaves out the tracebacks of requests that a stopping server cancels; uvicorn says how many these are."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is no cancellation."""
        return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def serve(library: Library, limits: Limits = LIMITS) -> None:
    """Serve a library over HTTP until interrupted; port 0 takes a free one. Exits with 1 when it cannot listen.

    `limits` are those of each process; of several processes, only connections use limits that differ from `LIMITS`.
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
        timeout_worker_healthcheck=round(HANG_SECONDS),
    )
    sources = shlex.split(settings.watch)
    missing = [name for name in sources if isinstance(source(name), Path) and not os.path.lexists(source(name))]
    if missing:
        raise BadInput(f"there is no {', '.join(missing)}", "name files, folders and feeds that are there")
    listener, address = _listen(settings.host, settings.port)
    if (message := warning(settings, address)) is not None:
        log.warning("%s", message)
    # uvicorn raises the signal that ended it once more, which must not keep what is beside the server from ending.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            log.info("searchsvc listens on %s", address)

    with WatchProcess(library, sources) if sources else nullcontext(), suppress(KeyboardInterrupt):
        if several:
            os.environ.update(settings.environment())
            log.info("searchsvc listens on %s with %d processes", address, settings.workers)
            workers = Workers(library, config, [listener])
            workers.run()
            if workers.failed:
                log.error("searchsvc: its processes cannot be started; their messages above may say why")
                raise SystemExit(1)
        else:
            Server(config).run([listener])


class Workers(Multiprocess):
    """Several processes; one that ends or hangs is replaced and that is logged, one that keeps ending ever later.

    uvicorn's own check waits for their answers: a process that ends meanwhile, or a signal to stop, is not noticed.
    """

    def __init__(self, library: Library, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False  # whether they cannot be started at all
        self._library = library
        self._pinged: dict[int | None, float] = {}  # when those were pinged that have not answered yet, by process id
        self._replace_at = self._steady_at = 0.0  # all three: `time.monotonic`

    def keep_subprocess_alive(self) -> None:
        """Replace what has ended, and what has not answered for too long; never waits."""
        faults = {place: fault for place, process in enumerate(self.processes) if (fault := self._fault(process))}
        now = time.monotonic()
        if not faults and now > self._steady_at:
            self._library.health.well("workers")
        if not faults or now < self._replace_at or self.should_exit.is_set():
            return
        for place in faults:
            old = self.processes[place]
            old.kill()
            old.join()
            self._pinged.pop(old.pid, None)
            if old.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
                return
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()
        message = f"{', '.join(faults.values())}; replaced"
        self._replace_at = time.monotonic() + self._library.health.failed("workers", message)
        self._steady_at = self._replace_at + STEADY_SECONDS

    def _fault(self, process: Process) -> str:
        """Return what is wrong with a process, or nothing."""
        if process.exitcode is not None:
            return f"process {process.pid} {ending(process.exitcode)}"
        pinged, now = self._pinged.get(process.pid), time.monotonic()
        with suppress(OSError, EOFError):  # it is about to end
            if pinged is None:
                process.parent_conn.send(b"ping")
                self._pinged[process.pid] = now
            elif process.parent_conn.poll():
                process.parent_conn.recv()
                del self._pinged[process.pid]
            elif now - pinged > HANG_SECONDS:
                return f"process {process.pid} did not answer for {HANG_SECONDS:g} seconds"
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
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return listener, f"http://{named}:{listener.getsockname()[1]}"
