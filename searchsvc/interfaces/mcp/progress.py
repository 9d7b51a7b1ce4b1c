"""Calls of the library from a chat, each on a thread of its own, with progress messages meanwhile.

The library is opened, and loads its model and index, at the first call.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from searchsvc.errors import NoIndex, SearchsvcError
from searchsvc.text.sanitize import sanitize

if TYPE_CHECKING:
    from searchsvc.library import Library

Answer = TypeVar("Answer")

PAUSE = 1.0  # seconds between two progress messages


class LibraryCalls:
    """Calls a library that is opened at the first call; `open_library` may be slow, and keeps what it opened."""

    def __init__(self, open_library: "Callable[[], Library]", hide: Callable[[str], str]) -> None:
        self._open = open_library
        self._hide = hide
        self._opening = threading.Lock()  # two first calls at once would open two
        self._loaded = False

    async def __call__(
        self,
        context: Context[Any, Any],
        call: "Callable[[Library], Answer]",
        error_type: Callable[[str], Exception] = ToolError,
    ) -> Answer:
        """Return what a call of the library returns; raises what `error_type` makes of a message for people."""
        task = asyncio.ensure_future(to_thread.run_sync(self._run, call))
        seconds = 0
        if not self._loaded:
            await context.report_progress(seconds, message="Loading the model and the index.")
        while task not in (await asyncio.wait({task}, timeout=PAUSE))[0]:
            seconds += 1
            message = "Searching." if self._loaded else "Loading the model and the index."
            await context.report_progress(seconds, message=message)
        try:
            return task.result()
        except SearchsvcError as error:
            raise error_type(sanitize(self._hide(_message(error)))) from error

    def _run(self, call: "Callable[[Library], Answer]") -> Answer:
        with self._opening:
            library = self._open()
        answer = call(library)
        self._loaded = True
        return answer


def _message(error: SearchsvcError) -> str:
    hint = error.hint
    if isinstance(error, NoIndex):
        hint = (
            "tell the user to run `searchsvc index PATH…` in a terminal, with the folder or file of their articles, or "
            "to start this server with `--index DIR`, the folder of an index that is there; then ask again"
        )
    return "; ".join(filter(None, (error.message, hint)))
