"""Everything that can go wrong, as one tree.

    SearchsvcError              anything said to a person in one line, with a hint where there is one
    ├── BadInput                the request cannot be understood            (exit 2, HTTP 422)
    ├── NoIndex                 there is nothing to search yet              (exit 3, HTTP 503)
    ├── NotFound                no article has that id or key               (exit 1, HTTP 404)
    ├── Unreadable              a file or record that cannot be an article  (reported and skipped)
    ├── Busy                    another process is writing to this index    (exit 1, HTTP 503)
    ├── Unwritable              the disk is full, or cannot be written to   (exit 1, HTTP 503)
    ├── DamagedCatalogue        the record itself cannot be trusted         (exit 1, HTTP 503)
    ├── DamagedIndex            a derived index cannot be trusted           (rebuilt, never served)
    ├── ModelMismatch           the index was made with other settings      (exit 1, HTTP 503)
    ├── ModelFailed             the model cannot be loaded or compiled      (exit 1, HTTP 503)
    ├── TooLittleMemory         what is needed does not fit into memory     (exit 1, HTTP 503)
    └── Unserved                a server cannot be reached, or refuses      (raised by a Client alone)

A test holds this drawing to the classes.
"""

import re


class SearchsvcError(Exception):
    """Something that a person should know; `hint` says what to do about it, `code` is its name for programs."""

    code = "searchsvc_error"
    exit_code = 1  # of the command line
    http_status = 503

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(SearchsvcError):
    """The request cannot be understood."""

    exit_code = 2
    http_status = 422


class NoIndex(SearchsvcError):
    """There is nothing to search yet."""

    exit_code = 3


class NotFound(SearchsvcError):
    """No article has that id or key."""

    http_status = 404


class Unreadable(SearchsvcError):
    """A file or a record that cannot be an article."""

    http_status = 422


class Busy(SearchsvcError):
    """Another process is writing to this index."""


class Unwritable(SearchsvcError):
    """The disk is full, or cannot be written to."""


class DamagedCatalogue(SearchsvcError):
    """The record itself cannot be trusted."""


class DamagedIndex(SearchsvcError):
    """A derived index cannot be trusted; it is rebuilt from the catalogue."""


class ModelMismatch(SearchsvcError):
    """The index was made with another model or other passage settings."""


class ModelFailed(SearchsvcError):
    """The model cannot be loaded or compiled."""


class TooLittleMemory(SearchsvcError):
    """What is needed does not fit into memory."""


class Unserved(SearchsvcError):
    """A server cannot be reached, or refuses for a reason that no other error names; `code` is the server's then."""

    def __init__(self, message: str, hint: str | None = None, code: str = "unserved") -> None:
        super().__init__(message, hint)
        self.code = code
