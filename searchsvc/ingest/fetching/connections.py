"""Connections: each for one request, to vetted addresses alone, and ended at a deadline, however slowly a server drips.

httpcore speaks HTTP over what is connected here.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpcore
import httpx

from searchsvc.ingest.fetching.failures import Hiccup, Unfetched
from searchsvc.ingest.fetching.responses import Response, unpacked
from searchsvc.ingest.fetching.robots import agent

CONNECT = 5.0  # seconds to make a connection in

Vetted = Callable[[str, int], Sequence[str]]  # the addresses of a host that may be connected to; raises Unfetched


def request(
    url: httpx.URL,
    headers: Mapping[str, str],
    *,
    vetted: Vetted,
    patience: float,
    body_bytes: int,
    tls: ssl.SSLContext | None,
) -> Response:
    """Make one request, within `patience` seconds; raises `Unfetched`, a `Hiccup` where it is worth another try."""
    try:
        return _response(url, headers, _VettedBackend(vetted, time.monotonic() + patience), body_bytes, tls)
    except httpcore.ConnectTimeout as fault:
        raise Hiccup(f"could not be connected to within {min(CONNECT, patience):g} s", passing=True) from fault
    except httpcore.TimeoutException as fault:
        raise Unfetched(f"took longer than {patience:g} s", passing=True) from fault
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as fault:
        cause = _cause(fault)
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Unfetched(f"its certificate is not valid: {cause.verify_message}") from fault
        raise Hiccup(f"the connection failed: {_reason(fault)}", passing=True) from fault
    except httpcore.ProtocolError as fault:
        raise Unfetched(f"cannot be asked for: {_reason(fault)}") from fault


def _response(
    url: httpx.URL, headers: Mapping[str, str], backend: "_VettedBackend", body_bytes: int, tls: ssl.SSLContext | None
) -> Response:
    sent = [
        (b"Host", url.netloc),
        (b"User-Agent", agent().encode()),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"gzip"),
        (b"Connection", b"close"),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
    ]
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    with (
        httpcore.ConnectionPool(ssl_context=tls, network_backend=backend) as pool,
        pool.stream("GET", target, headers=sent, extensions={"timeout": {"connect": CONNECT}}) as response,
    ):
        received = httpx.Headers(response.headers)
        is_ok = 200 <= response.status < 300
        body = unpacked(response.iter_stream(), received, body_bytes) if is_ok else b""
        return Response(response.status, received, body)


class _VettedBackend(httpcore.NetworkBackend):
    """Connects to vetted addresses alone, and for as long as there is time."""

    def __init__(self, vetted: Vetted, deadline: float) -> None:
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
                stream = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                fault = failed
                continue
            return _Stream(stream, self._deadline)
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


def _cause(fault: Exception) -> object:
    """Return the error behind one of httpcore's."""
    return fault.args[0] if fault.args else None


def _reason(fault: Exception) -> str:
    """Return what went wrong, on one line."""
    cause = _cause(fault)
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(fault) or type(fault).__name__
    return " ".join(reason.split()).lower()
