"""One run of the program: what was typed, what is set, and where the answer and all else go."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from searchsvc.settings import Settings

if TYPE_CHECKING:
    from searchsvc.interfaces.cli.screen import Screen
    from searchsvc.library import Library

DONE, FAILED, SOME_UNREADABLE, STOPPED = 0, 1, 4, 130  # exit codes; those of errors are theirs, see `errors`


@dataclass(frozen=True)
class Call:
    """One run of the program; `arguments` are those of its command."""

    arguments: argparse.Namespace
    settings: Settings

    @cached_property
    def library(self) -> "Library":
        """The index that is meant."""
        from searchsvc.library import Library

        return Library(self.settings, announce=self.announce)

    def announce(self, sentence: str) -> None:
        """Say beforehand what will take long."""
        from searchsvc.interfaces.cli.screen import print_notice

        print_notice(self.messages, sentence)

    @cached_property
    def out(self) -> "Screen":
        """Standard output, for the answer."""
        from searchsvc.interfaces.cli.screen import Screen

        return Screen()

    @cached_property
    def messages(self) -> "Screen":
        """Standard error, for all else."""
        from searchsvc.interfaces.cli.screen import Screen

        return Screen(stderr=True)

    @property
    def as_json(self) -> bool:
        """Whether the answer is to be one JSON document."""
        return hasattr(self.arguments, "json")

    def answer(self, value: object, show: Callable[["Screen"], None]) -> None:
        """Give the answer: `value` where JSON is wanted, else what `show` prints."""
        if self.as_json:
            write_json(value)
        else:
            show(self.out)


def as_text(argument: str) -> str:
    """Return an argument as text, whatever bytes it was made of."""
    return re.sub("[\ud800-\udfff]", "\ufffd", argument)


def write_json(value: object, indent: int | None = 2) -> None:
    """Write JSON that may be shown on a terminal: what could do more than be read is written as \\uXXXX."""
    from searchsvc.text.sanitize import UNSEEN

    text = as_text(json.dumps(value, ensure_ascii=False, indent=indent))
    escaped = UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1].replace("\x7f", "\\u007f"), text)
    sys.stdout.write(f"{escaped}\n")
    sys.stdout.flush()


def write_error(message: str, exit_code: int = FAILED) -> int:
    """Write a message on one line of standard error; return the exit code."""
    from searchsvc.text.sanitize import one_line

    sys.stderr.write(f"searchsvc: {one_line(message, 2_000)}\n")
    return exit_code
