"""Hide the folders of this machine from HTTP clients, who are shown the last parts of paths alone.

Messages and reports are made with full paths, which the command line and the log show as they are.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar, cast

# What is left of paths that are below no folder named here: all but their last parts are cut.
OTHER_PATHS = re.compile(
    r"(?<![\w:/.~-])/(?:home|root|Users|srv|mnt|media|var|opt|tmp|data|usr|etc|private|run|work|app)(?:/[^\s/,;:'\"]+)*/"
)

Value = TypeVar("Value")


class HiddenPaths:
    """The folders and files that a server uses."""

    def __init__(self, used: Iterable[str | Path]) -> None:
        """Name what is used: the index, what is watched, models. Relative paths stay as they are."""
        named = {str(form): path.name for path in map(Path, used) for form in (path.absolute(), path.resolve())}
        around = {os.getcwd(): ".", str(Path.home()): "~", sys.prefix: "python", tempfile.gettempdir(): "tmp"}  # noqa: PTH109
        self._names = {path: name for path, name in (around | named).items() if len(path) > 1 and name}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._known = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def hide(self, text: str) -> str:
        """Return a text in which a path below a folder in use begins with that folder's name, and others are cut."""
        return OTHER_PATHS.sub("", self._known.sub(lambda match: self._names[match[0]], text))

    def hide_in(self, value: Value) -> Value:
        """Return a JSON value in whose texts paths are hidden."""
        return cast(Value, self._hide_in(value))

    def _hide_in(self, value: object) -> object:
        match value:
            case str():
                return self.hide(value)
            case dict():
                return {name: self._hide_in(part) for name, part in value.items()}
            case list() | tuple():
                return [self._hide_in(part) for part in value]
        return value
