"""Asking: a question of a chat is put to the library on a thread of its own, with word of progress meanwhile.

The library is opened, and loads its model and index, when the first question comes.
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

PAUSE = 1.0  # seconds between two words of progress


class Asking:
    """Asks a library that is opened at the first question; `open_library` may be slow, and keeps what it opened."""

    def __init__(self, open_library: "Callable[[], Library]", shown: Callable[[str], str]) -> None:
        self._open = open_library
        self._shown = shown
        self._opening = threading.Lock()  # two first questions at once would open two
        self._loaded = False

    async def __call__(
        self,
        context: Context[Any, Any],
        what: "Callable[[Library], Answer]",
        refuse: Callable[[str], Exception] = ToolError,
    ) -> Answer:
        """Return what the library answers; raises what `refuse` makes of whatever a person should know."""
        task = asyncio.ensure_future(to_thread.run_sync(self._asked, what))
        told = 0
        if not self._loaded:
            await context.report_progress(told, message="Loading the model and the index.")
        while task not in (await asyncio.wait({task}, timeout=PAUSE))[0]:
            told += 1
            doing = "Searching." if self._loaded else "Loading the model and the index."
            await context.report_progress(told, message=doing)
        try:
            return task.result()
        except SearchsvcError as fault:
            raise refuse(sanitize(self._shown(_worded(fault)))) from fault

    def _asked(self, what: "Callable[[Library], Answer]") -> Answer:
        with self._opening:
            library = self._open()
        answer = what(library)
        self._loaded = True
        return answer


def _worded(fault: SearchsvcError) -> str:
    hint = fault.hint
    if isinstance(fault, NoIndex):
        hint = (
            "tell the user to run `searchsvc index PATH…` in a terminal, with the folder or file of their articles, or "
            "to start this server with `--index DIR`, the folder of an index that is there; then ask again"
        )
    return "; ".join(filter(None, (fault.message, hint)))
