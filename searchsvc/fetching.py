"""Fetching: the only place from which requests go out, politely, and to the public internet alone.

    URL ── robots.txt ── its host's turn ── name to addresses, all of them vetted ── one request ── bounded body
     ▲                                                                                   │
     └────────────────────────────── a redirect, at most five ◄──────────────────────────┘

httpx reads URLs and headers; httpcore, which it is made of, makes the connections, because only there can be said which
address one goes to and when it must have ended. A connection is made for one request, to an address that was vetted for
it, so that neither a redirect nor a name that is pointed elsewhere meanwhile leads into a private network.
"""

import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

import httpcore
import httpx
from protego import Protego
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from searchsvc.errors import Unreadable

NAME = "searchsvc"  # by which robots.txt may address us
TRIES = 3
REDIRECTS = 5
CONNECT = 5.0  # seconds to make a connection in
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for
LONGEST_RETRY_AFTER = 7 * 86_400.0
RULES_KEPT = 3_600.0  # seconds for which a robots.txt is believed
SILENCE_KEPT = 600.0  # seconds after which one that could not be had is asked for again
RULES_BYTES = 500 * 1024  # as much of a robots.txt as RFC 9309 wants read
HOSTS = 1_024  # as many are remembered

_MOVED = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({429, 502, 503, 504})
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered.

    `url` is where the redirects ended and `body` is unpacked. `media_type` is in lower case and without parameters,
    empty where none was named, as is `charset`. `etag` and `modified` are to be given back as they came.
    """

    url: str
    body: bytes
    media_type: str
    charset: str
    etag: str | None
    modified: str | None


class Unfetched(Unreadable):
    """Something that could not be had; `passing` where it may be had later, after `retry_after` seconds if it says."""

    def __init__(self, message: str, *, passing: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after = retry_after


class _Refused(Unfetched):
    """An address that is not to be connected to."""


class _Hiccup(Unfetched):
    """A failure after which the same request may well succeed."""


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public internet, and so no way into the network of this machine."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    inner = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None)
    return is_public(str(inner)) if inner else ip in _UNICAST and ip.is_global


def addresses_of(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, best first; raises `OSError` where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Fetcher:
    """Fetches over HTTP. Safe to use from many threads; each host is asked one thing at a time.

    `pause`: seconds between two requests to a host, and the first of the growing waits between tries; `patience`:
    seconds that one request may take; `body_bytes`: most bytes of an answer, unpacked. With `private`, any address may
    be connected to. `sleep` is how waiting is done, `resolve` and `public` how names become addresses and these are
    judged, `tls` whose certificates are believed (default: those of certifi).
    """

    def __init__(
        self,
        *,
        private: bool = False,
        pause: float = 1.0,
        patience: float = 20.0,
        body_bytes: int = 10_000_000,
        sleep: Callable[[float], object] = time.sleep,
        resolve: Callable[[str, int], Sequence[str]] = addresses_of,
        public: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pause = pause
        self._patience = patience
        self._body_bytes = body_bytes
        self._sleep = sleep
        self._resolve = resolve
        self._public = (lambda _: True) if private else public
        self._given_tls = tls
        self._remembering = threading.Lock()
        self._host = lru_cache(HOSTS)(lambda _name: _Host(pause))

    def get(
        self, url: str, *, etag: str | None = None, modified: str | None = None, robots: bool = True
    ) -> Fetched | None:
        """Return what is at a URL, or None where it is what it was when it had this `etag` or was so `modified`.

        With `robots`, only what robots.txt allows to programs that nobody has told to fetch just this. Raises
        `Unfetched` with the reason in one line.
        """
        headers = {"If-None-Match": etag, "If-Modified-Since": modified}
        at, answer = self._follow(_parsed(url), {name: said for name, said in headers.items() if said}, robots=robots)
        if answer.status == 304 and (etag or modified):
            return None
        if not 200 <= answer.status < 300:
            passing = answer.status >= 500 or answer.status in {408, 425}
            raise Unfetched(f"answered {answer.status}", passing=passing, retry_after=_retry_after(answer.headers))
        kind = answer.headers.get("content-type", "")
        return Fetched(
            url=str(at),
            body=answer.body,
            media_type=kind.partition(";")[0].strip().lower(),
            charset=_charset(kind),
            etag=answer.headers.get("etag"),
            modified=answer.headers.get("last-modified"),
        )

    def _follow(self, url: httpx.URL, headers: Mapping[str, str], *, robots: bool) -> "tuple[httpx.URL, _Answer]":
        for _ in range(REDIRECTS + 1):
            if robots:
                self._ask_leave(url)
            answer = self._patiently(url, headers)
            target = answer.headers.get("location")
            if answer.status not in _MOVED or not target:
                return url, answer
            url = _parsed(target, url)
        raise Unfetched(f"redirected more than {REDIRECTS} times")

    def _patiently(self, url: httpx.URL, headers: Mapping[str, str]) -> "_Answer":
        growing = wait_exponential(multiplier=self._pause, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome else None
            asked = fault.retry_after if isinstance(fault, Unfetched) else None
            return growing(state) if asked is None else asked

        trying = Retrying(
            retry=retry_if_exception_type(_Hiccup),
            stop=stop_after_attempt(TRIES),
            wait=wait,
            sleep=self._wait,
            reraise=True,
        )
        return trying(self._once, url, headers)

    def _once(self, url: httpx.URL, headers: Mapping[str, str]) -> "_Answer":
        """Make one request; raises `_Hiccup` where it is worth another try."""
        with self._turn(self._known(url)):
            try:
                answer = self._asked(url, headers)
            except httpcore.ConnectTimeout as fault:
                within = min(CONNECT, self._patience)
                raise _Hiccup(f"could not be connected to within {within:g} s", passing=True) from fault
            except httpcore.TimeoutException as fault:
                raise Unfetched(f"took longer than {self._patience:g} s", passing=True) from fault
            except (httpcore.NetworkError, httpcore.RemoteProtocolError) as fault:
                cause = _cause(fault)
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise Unfetched(f"its certificate is not valid: {cause.verify_message}") from fault
                raise _Hiccup(f"the connection failed: {_said(fault)}", passing=True) from fault
            except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as fault:
                raise Unfetched(f"cannot be asked for: {_said(fault)}") from fault
            except zlib.error as fault:
                raise Unfetched("the gzip data is damaged") from fault
        if answer.status in _BUSY:
            after = _retry_after(answer.headers)
            kind = _Hiccup if after is None or after <= LONGEST_WAIT else Unfetched
            raise kind(f"answered {answer.status}", passing=True, retry_after=after)
        return answer

    def _asked(self, url: httpx.URL, headers: Mapping[str, str]) -> "_Answer":
        line = _Line(self._vetted, time.monotonic() + self._patience)
        sent = [
            (b"Host", url.netloc),
            (b"User-Agent", _agent().encode()),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"gzip"),
            (b"Connection", b"close"),
            *((name.encode(), said.encode("latin-1", "replace")) for name, said in headers.items()),
        ]
        where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        tls = self._tls if url.scheme == "https" else None
        with (
            httpcore.ConnectionPool(ssl_context=tls, network_backend=line) as pool,
            pool.stream("GET", where, headers=sent, extensions={"timeout": {"connect": CONNECT}}) as response,
        ):
            received = httpx.Headers(response.headers)
            wanted = 200 <= response.status < 300
            body = _unpacked(response.iter_stream(), received, self._body_bytes) if wanted else b""
            return _Answer(response.status, received, body)

    def _vetted(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as fault:
            raise Unfetched(f"the name {host} is not known", passing=isinstance(fault, OSError)) from fault
        for address in addresses:
            if not self._public(address):
                shown = address if address == host else f"{host} ({address})"
                raise _Refused(
                    f"refused: {shown} is on a private network; SEARCHSVC_PRIVATE_NETWORKS=allow lets it be fetched"
                )
        return addresses

    # ------------------------------------------------------------------ manners

    @contextmanager
    def _turn(self, host: "_Host") -> Iterator[None]:
        with host.turn:
            wait = host.free_at - time.monotonic()
            if wait > 0:
                self._wait(wait)
            try:
                yield
            finally:
                host.free_at = time.monotonic() + host.pause

    def _wait(self, seconds: float) -> None:
        self._sleep(seconds)

    def _ask_leave(self, url: httpx.URL) -> None:
        """Raise `Unfetched` unless the robots.txt beside this URL allows it."""
        host = self._known(url)
        place = f"{url.scheme}://{url.netloc.decode()}"
        rules = host.rules.get(place)
        if rules is None or rules.until <= time.monotonic():
            rules = host.rules[place] = self._rules(_parsed(f"{place}/robots.txt"))
            host.pause = max(self._pause, min(rules.said.crawl_delay(NAME) or 0.0, LONGEST_WAIT))
        if rules.silence:
            raise Unfetched(f"its robots.txt cannot be had ({rules.silence})", passing=True)
        if not rules.said.can_fetch(str(url), NAME):
            raise Unfetched("robots.txt does not allow it")

    def _rules(self, url: httpx.URL) -> "_Rules":
        try:
            _, answer = self._follow(url, {}, robots=False)
        except _Refused:
            raise
        except Unfetched as fault:
            return _Rules(Protego(), time.monotonic() + SILENCE_KEPT, fault.message)
        if answer.status >= 500:
            return _Rules(Protego(), time.monotonic() + SILENCE_KEPT, f"answered {answer.status}")
        text = answer.body[:RULES_BYTES].decode(errors="replace")
        return _Rules(Protego.parse(_for_us(text)), time.monotonic() + RULES_KEPT)

    def _known(self, url: httpx.URL) -> "_Host":
        with self._remembering:
            return self._host(url.host)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a robots.txt says, believed until then (`time.monotonic`); `silence` is why it could not be had."""

    said: Protego
    until: float
    silence: str = ""


@dataclass(slots=True)
class _Host:
    """One host: whose turn it is, the seconds between two turns, when the next may begin, and its robots.txt files."""

    pause: float
    free_at: float = 0.0
    turn: threading.Lock = field(default_factory=threading.Lock)
    rules: dict[str, _Rules] = field(default_factory=dict)


class _Line(httpcore.NetworkBackend):
    """Connects to vetted addresses alone, and for as long as there is time, however slowly a server drips."""

    def __init__(self, vetted: Callable[[str, int], Sequence[str]], deadline: float) -> None:
        self._vetted = vetted
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers; raises as httpcore does, and `Unfetched`."""
        fault: Exception = httpcore.ConnectError("it has no address")
        for address in self._vetted(host, port):
            try:
                left = _left(self._deadline, timeout)
                made = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                fault = failed
                continue
            return _Stream(made, self._deadline)
        raise fault


class _Stream(httpcore.NetworkStream):
    """A connection that ends at a deadline."""

    def __init__(self, plain: httpcore.NetworkStream, deadline: float) -> None:
        self._plain = plain
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, at least a byte unless the other side has closed."""
        return self._plain.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        self._plain.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        """Close the connection."""
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection encrypted; the certificate must be one for the name, not for the address."""
        left = _left(self._deadline, timeout)
        return _Stream(self._plain.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows about itself."""
        return self._plain.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(left, timeout)


def _unpacked(pieces: Iterable[bytes], headers: httpx.Headers, limit: int) -> bytes:
    """Return the body of an answer, unpacked no further than the limit; raises `Unfetched` above it."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise Unfetched(f"is packed as {coding}, which was not asked for")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in coding else None
    body, size = bytearray(), 0
    for piece in pieces:
        size += len(piece)
        body += unpack.decompress(piece, limit + 1 - len(body)) if unpack else piece
        if max(size, len(body)) > limit:
            raise Unfetched(f"is larger than {limit / 1e6:g} MB")
    if unpack and size and not unpack.eof:
        raise Unfetched("the gzip data is cut short", passing=True)
    return bytes(body)


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        parsed = base.join(url) if base else httpx.URL(url.strip())
        host = parsed.host  # which says only now that it cannot be decoded
    except (httpx.InvalidURL, ValueError) as fault:
        raise Unfetched(f"is no URL: {fault}") from fault
    if parsed.scheme not in {"http", "https"}:
        raise Unfetched(f"refused: only http and https are fetched, not {parsed.scheme or 'a path'}")
    if not host:
        raise Unfetched("is no URL: it names no host")
    if (parsed.port or 0) > 65_535:
        raise Unfetched(f"is no URL: there is no port {parsed.port}")
    if parsed.userinfo:
        raise Unfetched("refused: the URL holds a name or a password")
    return parsed


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds that a server wants to be left alone for."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        seconds = float(said[:12])
    else:
        try:
            moment = parsedate_to_datetime(said)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _for_us(rules: str) -> str:
    """Return a robots.txt in which all programs but us have one name.

    Protego keeps every rule once for each program that it is for, which a hostile file could make too many.
    """
    lines = []
    for line in rules.splitlines():
        words = line.partition("#")[0].replace(":", " ").lower().split()
        addressed = words[:1] in (["user-agent"], ["useragent"]) or words[:2] == ["user", "agent"]
        whom = words[-1].partition("/")[0] if addressed else ""
        lines.append(f"User-agent: {whom if whom in {'*', NAME} else 'others'}" if addressed else line)
    return "\n".join(lines)


def _cause(fault: Exception) -> object:
    """Return the error that httpcore has made its own of."""
    return fault.args[0] if fault.args else None


def _said(fault: Exception) -> str:
    """Return what went wrong, on one line."""
    cause = _cause(fault)
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(fault) or type(fault).__name__
    return " ".join(said.split()).lower()


@lru_cache(1)
def _agent() -> str:
    try:
        return f"{NAME}/{version(NAME)} (+news search)"
    except PackageNotFoundError:
        return f"{NAME} (+news search)"
