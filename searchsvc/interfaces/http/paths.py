"""A place: the folders of this machine, of which whoever asks over HTTP learns the last names alone.

Messages and reports are made with full paths, which the command line and the log show as they are.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What is left of paths that no folder named here explains: all but their last parts are cut.
ELSEWHERE = re.compile(
    r"(?<![\w:/.~-])/(?:home|root|Users|srv|mnt|media|var|opt|tmp|data|usr|etc|private|run|work|app)(?:/[^\s/,;:'\"]+)*/"
)


class Places:
    """The folders and files that a server uses."""

    def __init__(self, used: Iterable[str | Path]) -> None:
        """Name what is used: the index, what is watched, models. What is no absolute path is left alone."""
        named = {str(form): path.name for path in map(Path, used) for form in (path.absolute(), path.resolve())}
        around = {os.getcwd(): ".", str(Path.home()): "~", sys.prefix: "python", tempfile.gettempdir(): "tmp"}  # noqa: PTH109
        self._names = {path: name for path, name in (around | named).items() if len(path) > 1 and name}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._known = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def hidden(self, text: str) -> str:
        """Return a text in which a path below a folder in use begins with that folder's name, and others are cut."""
        return ELSEWHERE.sub("", self._known.sub(lambda found: self._names[found[0]], text))

    def hidden_in(self, value: Any) -> Any:
        """Return a JSON value whose texts are `hidden`."""
        match value:
            case str():
                return self.hidden(value)
            case dict():
                return {name: self.hidden_in(one) for name, one in value.items()}
            case list() | tuple():
                return [self.hidden_in(one) for one in value]
        return value
