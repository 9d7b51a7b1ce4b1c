"""Addresses: the URLs that are fetched, and the IP addresses that are connected to."""

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Network, ip_address

import httpx

from searchsvc.ingest.fetching.failures import Refused, Unfetched

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return a URL that may be fetched, resolved against `base`; raises `Unfetched` for any other."""
    try:
        address = base.join(url) if base else httpx.URL(url.strip())
        host = address.host  # which says only now that it cannot be decoded
    except (httpx.InvalidURL, ValueError) as fault:
        raise Unfetched(f"is no URL: {fault}") from fault
    if address.scheme not in {"http", "https"}:
        raise Unfetched(f"refused: only http and https are fetched, not {address.scheme or 'a path'}")
    if not host:
        raise Unfetched("is no URL: it names no host")
    if (address.port or 0) > 65_535:
        raise Unfetched(f"is no URL: there is no port {address.port}")
    if address.userinfo:
        raise Unfetched("refused: the URL holds a name or a password")
    return address


def is_same_server(url: httpx.URL, other: httpx.URL) -> bool:
    """Return whether what the server of one URL sent may be sent to the other's: the same one, or it made secure."""
    if url.host != other.host:
        return False
    secured = (url.scheme, other.scheme) == ("http", "https") and url.port is None and other.port is None
    return secured or (url.scheme, url.port) == (other.scheme, other.port)


def vetted(
    host: str, port: int, *, resolve: Callable[[str, int], Sequence[str]], public: Callable[[str], bool]
) -> Sequence[str]:
    """Return the addresses of a host, best first; raises `Refused` unless all of them are public."""
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError) as fault:
        raise Unfetched(f"the name {host} is not known", passing=isinstance(fault, OSError)) from fault
    for address in addresses:
        if not public(address):
            name = address if address == host else f"{host} ({address})"
            raise Refused(
                f"refused: {name} is on a private network; SEARCHSVC_PRIVATE_NETWORKS=allow lets it be fetched"
            )
    return addresses


def addresses_of(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, best first; raises `OSError` where it has none."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, and so no way into the network of this machine."""
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    inner = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None)
    return is_public(str(inner)) if inner else ip in _UNICAST and ip.is_global
