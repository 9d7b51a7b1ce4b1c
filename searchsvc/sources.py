"""A source: who published an article, and the names by which people ask for it."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

SITE = re.compile(r"[\w-]+(?:\.[\w-]+)+")


def label(name: str) -> str:
    """Return a source or language as it is compared: without case and without `www.`."""
    return name.casefold().removeprefix("www.")


def means(asked: str, source: str) -> bool:
    """Say whether a person who asks for a source can mean this one.

    A name means the source of that name, in any spelling (`the-week`: The Week), and the site of that name (`week`:
    theweek.co.uk, `cnn`: edition.cnn.com). A site means itself and what is below it (cnn.com: edition.cnn.com).
    """
    asked, source = label(asked), label(source)
    if SITE.fullmatch(asked):
        return source == asked or source.endswith(f".{asked}")
    return source == asked or bool(_names(asked) & _names(source))


def meant(asked: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return those of the known sources that a person can mean by any of the names asked for."""
    wanted = list(asked)
    return frozenset(source for source in known if any(means(one, source) for one in wanted))


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
