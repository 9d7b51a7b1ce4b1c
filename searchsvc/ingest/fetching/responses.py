"""Responses of servers, with the body unpacked and bounded."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from searchsvc.ingest.fetching.failures import Unfetched

MAX_RETRY_AFTER = 7 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered.

    `url` is where the redirects ended and `body` is unpacked. `media_type` is in lower case and without parameters,
    empty where none was named, as is `charset`. `etag` and `modified` are to be sent back as they came.
    """

    url: str
    body: bytes
    media_type: str
    charset: str
    etag: str | None
    modified: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """A response to one request; without a body unless its status is 2xx."""

    status: int
    headers: httpx.Headers
    body: bytes

    def fetched(self, url: str) -> Fetched:
        """Return the response as what was fetched from this URL."""
        kind = self.headers.get("content-type", "")
        return Fetched(
            url=url,
            body=self.body,
            media_type=kind.partition(";")[0].strip().lower(),
            charset=_charset(kind),
            etag=self.headers.get("etag"),
            modified=self.headers.get("last-modified"),
        )

    @property
    def retry_after(self) -> float | None:
        """The seconds after which the server may be asked again, at most a week; None where it names no time."""
        value = self.headers.get("retry-after", "").strip()
        if value.isdecimal():
            seconds = float(value[:12])
        else:
            try:
                moment = parsedate_to_datetime(value)
            except (ValueError, OverflowError):  # the latter where a number is larger than dates can hold
                return None
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def unpacked(pieces: Iterable[bytes], headers: httpx.Headers, limit: int) -> bytes:
    """Return the body of a response, unpacked no further than the limit; raises `Unfetched` above it."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise Unfetched(f"is packed as {coding}, which was not asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in coding else None
    body, size = bytearray(), 0
    for piece in pieces:
        size += len(piece)
        try:
            body += unpack.decompress(piece, limit + 1 - len(body)) if unpack else piece
        except zlib.error as fault:
            raise Unfetched("the gzip data is damaged") from fault
        if max(size, len(body)) > limit:
            raise Unfetched(f"is larger than {limit / 1e6:g} MB")
    if unpack and size and not unpack.eof:
        raise Unfetched("the gzip data is cut short", passing=True)
    return bytes(body)


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""
