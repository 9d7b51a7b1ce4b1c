"""Robots: the name by which sites know us, and what their robots.txt lets us fetch."""

import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from protego import Protego

from searchsvc.ingest.fetching.failures import Unfetched

NAME = "searchsvc"  # by which robots.txt may address us
TTL = 3_600.0  # seconds for which a robots.txt is used
UNAVAILABLE_TTL = 600.0  # seconds after which one that could not be had is fetched again
MAX_BYTES = 500 * 1024  # bytes of a robots.txt: as many as RFC 9309 wants read


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a robots.txt, used `until` then (`time.monotonic`); `unavailable` is why it could not be had."""

    rules: Protego
    until: float
    unavailable: str = ""

    @property
    def pause(self) -> float:
        """The seconds that it wants between two requests."""
        return self.rules.crawl_delay(NAME) or 0.0

    def check(self, url: str) -> None:
        """Raise `Unfetched` unless a URL may be fetched."""
        if self.unavailable:
            raise Unfetched(f"its robots.txt cannot be had ({self.unavailable})", passing=True)
        if not self.rules.can_fetch(url, NAME):
            raise Unfetched("robots.txt does not allow it")


def rules_in(body: bytes) -> Rules:
    """Return the rules in the bytes of a robots.txt."""
    text = body[:MAX_BYTES].decode(errors="replace")
    return Rules(Protego.parse(_for_us(text)), time.monotonic() + TTL)


def no_rules(unavailable: str) -> Rules:
    """Return the rules where a robots.txt could not be had: nothing may be fetched."""
    return Rules(Protego(), time.monotonic() + UNAVAILABLE_TTL, unavailable)


@lru_cache(1)
def agent() -> str:
    """Return our User-Agent."""
    try:
        return f"{NAME}/{version(NAME)} (+news search)"
    except PackageNotFoundError:
        return f"{NAME} (+news search)"


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
