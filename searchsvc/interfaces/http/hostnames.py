"""A hostname: the names by which the server may be called, so that no other page's name leads a browser to it.

Without this, a web page could have its own name resolve to this server's address and read the index through the
browser of whoever opens it (DNS rebinding). An address written in figures cannot be made to lead elsewhere.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class Hostnames:
    """Names in lower case, IPv6 addresses in brackets; with `addresses`, any address in figures is one too."""

    names: frozenset[str]
    addresses: bool

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.addresses and _address(name) is not None)


def hostnames_of(host: str, given: Iterable[str] = ()) -> Hostnames:
    """Return the names by which a server bound to `host` may be called, those that a person has given among them.

    Bound to a loopback address it is called by local names; bound to any other also by this machine's own name, and by
    addresses: which ones lead here, a machine behind a router or in a container does not know.
    """
    bare = host.strip("[]").lower()
    names = LOCAL | {f"[{bare}]" if ":" in bare else bare, *given}
    if is_local(host):
        return Hostnames(names, addresses=False)
    own = socket.gethostname().lower()
    return Hostnames(names | {own, f"{own.partition('.')[0]}.local"}, addresses=True)


def is_local(host: str) -> bool:
    """Say whether only this machine reaches a server that is bound to `host`."""
    address = _address(host)
    return address.is_loopback if address else host.strip("[]").lower() == "localhost"


def host_name(header: str) -> str:
    """Return the name in a request's Host header, without its port."""
    return re.sub(r":\d*$", "", header.strip().lower())


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
