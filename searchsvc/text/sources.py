"""A source: who published an article, the names by which people ask for it, and by whose word that is known.

An article that a feed brought has an origin: the registrable domain of the feed's address, which nobody else can have.
What the feed says of the article's source and address is its claim, and told as such where they are another site's.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

SITE = re.compile(r"[\w-]+(?:\.[\w-]+)+")

# Sites on which anybody may publish, and which the public suffix list does not name: under a host of his own …
HOSTING = frozenset({"beehiiv.com", "livejournal.com", "substack.com", "tumblr.com"})
# … or under a path: there, every feed is an origin of its own.
SHARED = frozenset({"feedblitz.com", "feedburner.com", "medium.com", "rss.app", "rsshub.app"})

# How good the word is by which an article's source is known, from a stranger's to the owner's own.
CLAIMED, FIRST_HAND, OWN = range(3)
LONGEST_CLAIM = 50  # characters of a claimed source, so that wherever a line is cut, whose claim it is stays in it


def normalized(name: str) -> str:
    """Return a source or language as it is compared: without case and without `www.`."""
    return name.casefold().removeprefix("www.")


def is_called(asked: str, source: str) -> bool:
    """Say whether a person who asks for a source can mean this one.

    A name means the source of that name, in any spelling (`the-week`: The Week), and the site of that name (`week`:
    theweek.co.uk, `cnn`: edition.cnn.com). A site means itself and what is below it (cnn.com: edition.cnn.com).
    """
    asked, source = normalized(asked), normalized(source)
    if SITE.fullmatch(asked):
        return source == asked or source.endswith(f".{asked}")
    return source == asked or bool(_names(asked) & _names(source))


def sources_called(asked: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return those of the known sources that a person can mean by any of the names asked for."""
    wanted = list(asked)
    return frozenset(source for source in known if any(is_called(one, source) for one in wanted))


@lru_cache(maxsize=10_000)
def _names(source: str) -> frozenset[str]:
    """Return the names of a source or a site, as letters and figures alone; with and without a `the` before them."""
    plain = unicodedata.normalize("NFKD", _name_of_site(source) if SITE.fullmatch(source) else source)
    letters = "".join(filter(str.isalnum, plain))
    return frozenset({letters, letters.removeprefix("the")} - {""})


def _name_of_site(host: str) -> str:
    """Return `bbc` of `news.bbc.co.uk`, by the public suffix list."""
    from tld import get_tld

    found = get_tld(host, fail_silently=True, fix_protocol=True, as_object=True)
    return found.domain if found is not None and not isinstance(found, str) else host


@lru_cache(maxsize=10_000)
def origin_of(url: str) -> str:
    """Return what tells those apart who publish at a URL: the registrable domain, by the public suffix list.

    Where there is none (an IP address, a name within a network), it is the host, with its port unless that is usual.
    Names are in ASCII, so that no letter passes for another.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url
    site = _registrable(host)
    if site is None:
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        name = f"[{host}]" if ":" in host else host
        return f"{name}:{port}" if port not in {None, usual} else name or url
    if site in HOSTING | SHARED:
        return _ascii(host.removeprefix("www.")) + (parts.path.rstrip("/") if site in SHARED else "")
    return _ascii(site)


def standing(source: str | None, url: str | None, origin: str | None) -> int:
    """Say by whose word an article's source is known: the owner's `OWN`, its own feed's, or a stranger's `CLAIMED`."""
    if origin is None:
        return OWN
    own = (url is None or origin_of(url) == origin) and (source is None or _is_own(source, origin))
    return FIRST_HAND if own else CLAIMED


def credit(source: str | None, url: str | None, origin: str | None) -> str | None:
    """Return who published an article, as people are told: what a stranger says is told as what that one says."""
    if origin is None or standing(source, url, origin) != CLAIMED:
        return source or origin
    named = origin_of(url) if url and (source is None or _is_own(source, origin)) else source
    shown = named if named is None or len(named) <= LONGEST_CLAIM else f"{named[:LONGEST_CLAIM]}…"
    return f"{shown}, according to {origin}"


def _is_own(source: str, origin: str) -> bool:
    """Say whether a source is named after an origin: as its site, or by the site's name."""
    host = re.sub(r":\d+$", "", origin)
    return origin_of(f"//{source}") in {origin, host} if SITE.fullmatch(source) else is_called(source, host)


def _registrable(host: str) -> str | None:
    """Return the part of a host that somebody has registered; None where that cannot be."""
    from tld import get_tld

    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return None
    labels = host.split(".")
    if len(labels) < 2 or not all(labels):
        return None
    found = get_tld(host, fail_silently=True, fix_protocol=True, as_object=True, search_private=True)
    # Of a top-level domain that the list does not know, the list says: one label below it is somebody's.
    return found.fld if found is not None and not isinstance(found, str) else ".".join(labels[-2:])


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host
