"""A read-only folder, opened through links to its files in a temporary folder, in which lock files can be made.

tantivy makes a lock file in its folder even to read, and has no other way to be opened.
"""

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path


def is_read_only(folder: Path) -> bool:
    """Say whether a folder cannot be written to."""
    return not os.access(folder, os.W_OK)


class LinkedFolder:
    """Links to the files of a folder, in a temporary folder that is deleted with this object."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where there is no temporary folder either."""
        self._folder = folder
        self.folder = Path(tempfile.mkdtemp(prefix="searchsvc-"))  # of the links
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.refresh()

    def refresh(self) -> None:
        """Link the files that were added since."""
        for file in self._folder.iterdir():
            if file.suffix != ".lock":
                with suppress(FileExistsError):
                    (self.folder / file.name).symlink_to(file.resolve())
