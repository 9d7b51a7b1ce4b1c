"""The screen: where people read, as coloured text on a terminal and as plain text elsewhere.

Articles, and the names of files, are other people's text: nothing of it is read as markup, and no character of it
may move the cursor, ring, recolour, or turn the reading direction around.
"""

from typing import NoReturn

from rich.console import Console
from rich.text import Text

from searchsvc.text.sanitize import one_line

MAX_WIDTH = 100  # columns; longer lines are hard to read
INDENT = 4
MAX_ADDRESS = 2_000  # characters of URLs, keys and paths, which are of no use when cut


class Screen(Console):
    """Where people read: rich's console without its markup, guesses and emoji."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the program to end quietly."""
        raise BrokenPipeError


def print_text(console: Console, text: Text, *, lead: Text | None = None, indent: int = 0) -> None:
    """Print a text wrapped and indented, `lead` standing in the first line's indent."""
    width = max(20, min(console.width, MAX_WIDTH) - indent)
    for number, wrapped in enumerate(text.wrap(console, width)):
        wrapped.rstrip()
        before = lead if lead is not None and number == 0 else Text(" " * indent)
        console.print(Text.assemble(before, wrapped) if wrapped.plain else Text(), soft_wrap=True)


def print_notice(console: Console, sentence: str) -> None:
    """Print something said beforehand."""
    print_text(console, Text(one_line(sentence), "dim"))
