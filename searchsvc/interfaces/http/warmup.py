"""Warm-up: the model and the index are loaded when the server starts, so that the first search need not wait."""

import threading

from searchsvc.errors import ModelFailed, NoIndex, SearchsvcError
from searchsvc.library import Library

RETRY_SECONDS = 1.0  # between two looks whether there is an index by now


class Warmup:
    """Loads the model and the index as soon as there is one; `run` belongs on a thread of its own."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.closing = threading.Event()
        self.is_done = False
        self.error: SearchsvcError | None = None  # why the last try failed

    def run(self) -> None:
        """Try until it is done, or the server closes."""
        pause = 0.0
        while not self.closing.wait(pause):
            if self._library.exists:
                self.error = None
            try:
                load(self._library)
            except NoIndex as error:
                self.error = error
                pause = RETRY_SECONDS
            except SearchsvcError as error:
                self.error = error
                pause = self._library.health.failed("warming", error)
            except Exception as error:  # noqa: BLE001  whatever it is, the server must not seem to load for ever
                pause = self._library.health.failed("warming", error)
                message = f"the model or the index cannot be loaded: an unexpected {type(error).__name__}"
                self.error = ModelFailed(message, "the server's log says more")
            else:
                self._library.health.well("warming")
                self.is_done = True
                return


def load(library: Library) -> int:
    """Load what a search needs and return the generation of the index; raises what a search would raise."""
    if not library.exists:
        raise NoIndex(f"there is no index in {library.folder}", "searchsvc index PATH… makes one")
    library.embedder.question("ready")
    library.reranker  # noqa: B018  loads it where one is set
    return library.snapshot().generation
