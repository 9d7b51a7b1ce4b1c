"""Fetching: the only place from which requests go out, politely, and to the public internet alone.

    URL ── robots.txt ── pause for its host ── name to addresses, all of them vetted ── one request ── bounded body
     ▲                                                                                      │
     └────────────────────────────── a redirect, at most five ◄─────────────────────────────┘

httpx reads URLs and headers; httpcore, which it is made of, makes the connections, because only there can be said which
address one goes to and when it must have ended. A connection is made for one request, to an address that was vetted for
it, so that neither a redirect nor a name that is pointed elsewhere meanwhile leads into a private network.
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from searchsvc.ingest.fetching.addresses import addresses_of, is_public, is_same_server, parsed, vetted
from searchsvc.ingest.fetching.connections import request
from searchsvc.ingest.fetching.failures import Hiccup, Refused, Unfetched
from searchsvc.ingest.fetching.hosts import Hosts
from searchsvc.ingest.fetching.responses import Fetched, Response
from searchsvc.ingest.fetching.robots import Rules, no_rules, rules_in

__all__ = ["Fetched", "Fetcher", "Unfetched", "is_public", "is_same_server", "parsed"]

MAX_TRIES = 3
MAX_REDIRECTS = 5
MAX_WAIT = 30.0  # seconds, whatever a server asks for

_MOVED = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({429, 502, 503, 504})


class Fetcher:
    """Fetches over HTTP. Safe to use from many threads; each host gets one request at a time.

    `pause`: seconds between two requests to a host, and the first of the growing waits between tries; `patience`:
    seconds that one request may take; `body_bytes`: the largest body, unpacked. With `private`, any address may
    be connected to. `sleep` is how waiting is done, `resolve` and `public` how names become addresses and these are
    judged, `tls` whose certificates are trusted (default: those of certifi).
    """

    def __init__(
        self,
        *,
        private: bool = False,
        pause: float = 1.0,
        patience: float = 20.0,
        body_bytes: int = 10_000_000,
        sleep: Callable[[float], None] = time.sleep,
        resolve: Callable[[str, int], Sequence[str]] = addresses_of,
        public: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pause = pause
        self._patience = patience
        self._body_bytes = body_bytes
        self._sleep = sleep
        self._vetted = partial(vetted, resolve=resolve, public=(lambda _: True) if private else public)
        self._own_tls = tls
        self._hosts = Hosts(pause)

    def get(
        self,
        url: str,
        *,
        etag: str | None = None,
        modified: str | None = None,
        given_by: str | None = None,
        robots: bool = True,
    ) -> Fetched | None:
        """Return what is at a URL, or None where it is what it was when it had this `etag` or was so `modified`.

        These two may identify whoever sends them: they are sent to the server of the URL `given_by` (default: of `url`)
        alone, and to no other that a redirect leads to. With `robots`, only what robots.txt allows to programs that
        are not sent by a person is fetched. Raises `Unfetched` with the reason in one line.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        headers = {name: value for name, value in conditions.items() if value}
        final_url, response = self._follow(parsed(url), headers, parsed(given_by or url), robots=robots)
        if response.status == 304 and headers and is_same_server(parsed(given_by or url), final_url):
            return None
        if not 200 <= response.status < 300:
            passing = response.status >= 500 or response.status in {408, 425}
            raise Unfetched(f"answered {response.status}", passing=passing, retry_after=response.retry_after)
        return response.fetched(str(final_url))

    def _follow(
        self, url: httpx.URL, headers: Mapping[str, str], given_by: httpx.URL, *, robots: bool
    ) -> tuple[httpx.URL, Response]:
        for _ in range(MAX_REDIRECTS + 1):
            if robots:
                self._check_robots(url)
            response = self._retrying(url, headers if is_same_server(given_by, url) else {})
            target = response.headers.get("location")
            if response.status not in _MOVED or not target:
                return url, response
            url = parsed(target, url)
        raise Unfetched(f"redirected more than {MAX_REDIRECTS} times")

    def _retrying(self, url: httpx.URL, headers: Mapping[str, str]) -> Response:
        growing = wait_exponential(multiplier=self._pause, max=MAX_WAIT)

        def wait(state: RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome else None
            retry_after = fault.retry_after if isinstance(fault, Unfetched) else None
            return growing(state) if retry_after is None else retry_after

        trying = Retrying(
            retry=retry_if_exception_type(Hiccup),
            stop=stop_after_attempt(MAX_TRIES),
            wait=wait,
            sleep=self._sleep,
            reraise=True,
        )
        return trying(self._request, url, headers)

    def _request(self, url: httpx.URL, headers: Mapping[str, str]) -> Response:
        """Make one request; raises `Hiccup` where it is worth another try."""
        with self._hosts.named(url.host).slot(self._sleep):
            response = request(
                url,
                headers,
                vetted=self._vetted,
                patience=self._patience,
                body_bytes=self._body_bytes,
                tls=self._tls if url.scheme == "https" else None,
            )
        if response.status in _BUSY:
            after = response.retry_after
            kind = Hiccup if after is None or after <= MAX_WAIT else Unfetched
            raise kind(f"answered {response.status}", passing=True, retry_after=after)
        return response

    def _check_robots(self, url: httpx.URL) -> None:
        """Raise `Unfetched` unless the robots.txt beside this URL allows it."""
        host = self._hosts.named(url.host)
        site = f"{url.scheme}://{url.netloc.decode()}"
        rules = host.rules.get(site)
        if rules is None or rules.until <= time.monotonic():
            rules = host.rules[site] = self._rules(parsed(f"{site}/robots.txt"))
            host.pause = max(self._pause, min(rules.pause, MAX_WAIT))
        rules.check(str(url))

    def _rules(self, url: httpx.URL) -> Rules:
        try:
            _, response = self._follow(url, {}, url, robots=False)
        except Refused:
            raise
        except Unfetched as fault:
            return no_rules(fault.message)
        return no_rules(f"answered {response.status}") if response.status >= 500 else rules_in(response.body)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._own_tls or httpx.create_ssl_context(trust_env=False)
