"""Failures: why something could not be had, and whether it is worth asking again."""

from searchsvc.errors import Unreadable


class Unfetched(Unreadable):
    """Something that could not be had; `passing` where it may be had later, after `retry_after` seconds if it says."""

    def __init__(self, message: str, *, passing: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after = retry_after


class Refused(Unfetched):
    """An address that is not to be connected to."""


class Hiccup(Unfetched):
    """A failure after which the same request may well succeed."""
