"""A source: who published an article, the names by which people ask for it, and by whose word that is known.

An article that a feed brought has an origin: the registrable domain of the feed's address, which nobody else can have.
What the feed says of the article's source and address is its claim, and shown as such where they are another site's.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

SITE = re.compile(r"[\w-]+(?:\.[\w-]+)+")

# Sites on which anybody may publish, and which the public suffix list does not name: under a host of their own …
HOSTING = frozenset({"beehiiv.com", "livejournal.com", "substack.com", "tumblr.com"})
# … or under a path: there, every feed is an origin of its own.
SHARED = frozenset({"feedblitz.com", "feedburner.com", "medium.com", "rss.app", "rsshub.app"})

# How good the word is by which an article's source is known, from a stranger's to the owner's own.
CLAIMED, FIRST_HAND, OWN = range(3)
MAX_CLAIM = 50  # characters of a claimed source, so that wherever a line is cut, whose claim it is stays in it


def normalized(name: str) -> str:
    """Return a source or language as it is compared: without case and without `www.`."""
    return name.casefold().removeprefix("www.")


def is_called(name: str, source: str) -> bool:
    """Say whether a person can mean this source by a name.

    A name means the source of that name, in any spelling (`the-week`: The Week), and the site of that name (`week`:
    theweek.co.uk, `cnn`: edition.cnn.com). A site means itself and what is below it (cnn.com: edition.cnn.com).
    """
    name, source = normalized(name), normalized(source)
    if SITE.fullmatch(name):
        return source == name or source.endswith(f".{name}")
    return source == name or bool(_names(name) & _names(source))


def sources_called(names: Iterable[str], sources: Iterable[str]) -> frozenset[str]:
    """Return those of the sources that a person can mean by any of the names."""
    names = list(names)
    return frozenset(source for source in sources if any(is_called(name, source) for name in names))


@lru_cache(maxsize=10_000)
def _names(source: str) -> frozenset[str]:
    """Return the names of a source or a site, as letters and figures alone; with and without a `the` before them."""
    plain = unicodedata.normalize("NFKD", _name_of_site(source) if SITE.fullmatch(source) else source)
    letters = "".join(filter(str.isalnum, plain))
    return frozenset({letters, letters.removeprefix("the")} - {""})


def _name_of_site(host: str) -> str:
    """Return `bbc` of `news.bbc.co.uk`, by the public suffix list."""
    from tld import get_tld

    parts = get_tld(host, fail_silently=True, fix_protocol=True, as_object=True)
    return parts.domain if parts is not None and not isinstance(parts, str) else host


@lru_cache(maxsize=10_000)
def origin_of(url: str) -> str:
    """Return the origin of a URL: the registrable domain, by the public suffix list.

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
    """Say by whose word a source is known: `OWN` (the owner's), `FIRST_HAND` (its own feed's) or `CLAIMED`."""
    if origin is None:
        return OWN
    own = (url is None or origin_of(url) == origin) and (source is None or _is_own(source, origin))
    return FIRST_HAND if own else CLAIMED


def credit(source: str | None, url: str | None, origin: str | None) -> str | None:
    """Return who published an article, as shown to people: a claim together with the origin that makes it."""
    if origin is None or standing(source, url, origin) != CLAIMED:
        return source or origin
    claim = origin_of(url) if url and (source is None or _is_own(source, origin)) else source
    if claim is not None and len(claim) > MAX_CLAIM:
        claim = f"{claim[:MAX_CLAIM]}…"
    return f"{claim}, according to {origin}"


def _is_own(source: str, origin: str) -> bool:
    """Say whether a source is named after an origin: as its site, or by the site's name."""
    host = re.sub(r":\d+$", "", origin)
    return origin_of(f"//{source}") in {origin, host} if SITE.fullmatch(source) else is_called(source, host)


def _registrable(host: str) -> str | None:
    """Return the registrable domain of a host; None where it has none."""
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
    parts = get_tld(host, fail_silently=True, fix_protocol=True, as_object=True, search_private=True)
    # Of a top-level domain that the list does not know, the list says: one label below it is somebody's.
    return parts.fld if parts is not None and not isinstance(parts, str) else ".".join(labels[-2:])


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host
