"""A client: searches, reads, adds and deletes as `Library` does, asked of a server over HTTP; same results.

    Client, AsyncClient ── Call: what is sent, and how the answer is read ──► one HTTP request ──► Results, …

What goes wrong is raised as the same errors that a Library raises, with the server's words.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

import httpx

from searchsvc import schemas
from searchsvc.errors import SearchsvcError, Unserved
from searchsvc.interfaces import deserialize
from searchsvc.query import FilterOptions, Query, QueryOptions, in_range
from searchsvc.schemas import NewArticle
from searchsvc.search.brief import Brief
from searchsvc.search.results import Hit, Results
from searchsvc.search.timeline import Timeline
from searchsvc.text.article import Article, Version

if TYPE_CHECKING:
    from searchsvc.ingest.report import Report
    from searchsvc.library import Status
    from searchsvc.search.quotes import QuoteCheck

URL = "http://127.0.0.1:8000"
TIMEOUT = 30.0  # seconds; a server that has just started loads its model before it answers

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request of a server: its method, path and parameters or body, and how its JSON answer is read."""

    method: str
    path: str
    read: Callable[[Any], Answer]
    parameters: Mapping[str, object] | None = None
    body: object = None


def search(query: str | Query, options: QueryOptions) -> Call[Results]:
    """Return the call for `Library.search`."""
    asked = Query.of(query, options)
    by_its_clock = isinstance(query, str) and options.get("as_of") is None  # which may differ from this machine's
    body = {
        **_filter(asked),
        "per_article": asked.per_article,
        "max_tokens": asked.max_tokens,
        "freshness": "auto" if asked.freshness else "off",
        "fold": asked.fold,
        "period": "auto" if asked.period else "off",
        "explain": asked.explain,
        "as_of": None if by_its_clock else asked.as_of.isoformat(),
    }
    return Call("POST", "/search", lambda answer: deserialize.results_from(answer, asked), body=body)


def timeline(query: str | Query, options: FilterOptions) -> Call[Timeline]:
    """Return the call for `Library.timeline`."""
    return Call("GET", "/timeline", deserialize.timeline_from, _narrowed(query, options, 20))


def brief(query: str | Query, options: FilterOptions) -> Call[Brief]:
    """Return the call for `Library.brief`."""
    parameters = _narrowed(query, options, 12)
    return Call("GET", "/brief", deserialize.brief_from, {**parameters, "format": "json"})


def similar(ident: str, limit: int) -> Call[tuple[Hit, ...]]:
    """Return the call for `Library.similar`."""
    path, parameters = f"/articles/{_part(ident)}/similar", {"limit": in_range("limit", limit)}
    return Call("GET", path, lambda answer: tuple(map(deserialize.hit_from, answer["hits"])), parameters)


def verify_quote(quote: str, ident: str | None) -> "Call[QuoteCheck]":
    """Return the call for `Library.verify_quote`."""
    return Call("GET", "/verify_quote", deserialize.quote_check_from, {"quote": quote, "id": ident})


def article(ident: str) -> Call[Article]:
    """Return the call for `Library.article`."""
    return Call("GET", f"/articles/{_part(ident)}", deserialize.article_from)


def versions(ident: str) -> Call[tuple[Version, ...]]:
    """Return the call for `Library.versions`."""
    return Call("GET", f"/articles/{_part(ident)}/versions", deserialize.versions_from)


def status() -> "Call[Status]":
    """Return the call for `Library.status`."""
    return Call("GET", "/status", deserialize.status_from)


def add(articles: NewArticle | Iterable[NewArticle]) -> "Call[Report]":
    """Return the call for `Library.add`."""
    body = [articles] if isinstance(articles, dict) else list(articles)
    return Call("POST", "/articles", deserialize.report_from, body=body)


def delete(ident: str) -> Call[None]:
    """Return the call for `Library.delete`."""
    return Call("DELETE", f"/articles/{_part(ident)}", lambda _: None)


def reindex() -> Call[schemas.Job]:
    """Return the call that has the served files, folders and feeds looked at."""
    return Call("POST", "/reindex", lambda answer: cast(schemas.Job, answer))


def job(ident: str) -> Call[schemas.Job]:
    """Return the call that says how a job stands."""
    return Call("GET", f"/jobs/{_part(ident)}", lambda answer: cast(schemas.Job, answer))


class Client:
    """One server. Safe to use from many threads; `with` closes its connections."""

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Name the server; nothing is sent before something is asked.

        `key` is sent as a bearer token. `timeout` is in seconds, for each of connecting, sending and waiting for the
        answer. `headers` go with every request, for a server that stands behind a password.
        """
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = httpx.Client(timeout=timeout, headers=_headers(key, headers))

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(self, query: str | Query, **options: Unpack[QueryOptions]) -> Results:
        """Answer a question with the best passages of the best `limit` articles, as `Library.search` does."""
        return self._send(search(query, options))

    def timeline(self, query: str | Query, **options: Unpack[FilterOptions]) -> Timeline:
        """Return what was published on a question, the best hit of each of the best `limit` days (20)."""
        return self._send(timeline(query, options))

    def brief(self, query: str | Query, **options: Unpack[FilterOptions]) -> Brief:
        """Return what at most `limit` articles (12) answer, in their own sentences, each with its citation."""
        return self._send(brief(query, options))

    def similar(self, ident: str, limit: int = 10) -> tuple[Hit, ...]:
        """Return the `limit` articles most like this one, without its near-duplicates; raises NotFound."""
        return self._send(similar(ident, limit))

    def verify_quote(self, quote: str, ident: str | None = None) -> "QuoteCheck":
        """Say whether an article, or without `ident` any, says this word for word or nearly, and where."""
        return self._send(verify_quote(quote, ident))

    def article(self, ident: str) -> Article:
        """Return the article with this id, its text with it; raises NotFound."""
        return self._send(article(ident))

    def versions(self, ident: str) -> tuple[Version, ...]:
        """Return the texts that an article has had, newest first; raises NotFound."""
        return self._send(versions(ident))

    def status(self) -> "Status":
        """Return what is indexed, how much, how fresh."""
        return self._send(status())

    def add(self, articles: NewArticle | Iterable[NewArticle]) -> "Report":
        """Add one article or up to 1,000, or replace those with the same key; searchable when this returns."""
        return self._send(add(articles))

    def delete(self, ident: str) -> None:
        """Take one article out, named by its id; raises NotFound."""
        self._send(delete(ident))

    def reindex(self) -> schemas.Job:
        """Have the served files, folders and feeds looked at; `job` says how that stands."""
        return self._send(reindex())

    def job(self, ident: str) -> schemas.Job:
        """Return how a job stands; raises NotFound."""
        return self._send(job(ident))

    def _send(self, call: Call[Answer]) -> Answer:
        method, url, content, headers = _request(self.url, call)
        try:
            response = self._http.request(method, url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unserved(self.url, self.timeout, error) from error
        return _answer(self.url, call, response)


class AsyncClient:
    """One server, asked without blocking; `async with` closes its connections. Methods are those of `Client`."""

    def __init__(
        self,
        url: str = URL,
        *,
        key: str | None = None,
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Name the server; see `Client`."""
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = httpx.AsyncClient(timeout=timeout, headers=_headers(key, headers))

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def search(self, query: str | Query, **options: Unpack[QueryOptions]) -> Results:
        """See `Client.search`."""
        return await self._send(search(query, options))

    async def timeline(self, query: str | Query, **options: Unpack[FilterOptions]) -> Timeline:
        """See `Client.timeline`."""
        return await self._send(timeline(query, options))

    async def brief(self, query: str | Query, **options: Unpack[FilterOptions]) -> Brief:
        """See `Client.brief`."""
        return await self._send(brief(query, options))

    async def similar(self, ident: str, limit: int = 10) -> tuple[Hit, ...]:
        """See `Client.similar`."""
        return await self._send(similar(ident, limit))

    async def verify_quote(self, quote: str, ident: str | None = None) -> "QuoteCheck":
        """See `Client.verify_quote`."""
        return await self._send(verify_quote(quote, ident))

    async def article(self, ident: str) -> Article:
        """See `Client.article`."""
        return await self._send(article(ident))

    async def versions(self, ident: str) -> tuple[Version, ...]:
        """See `Client.versions`."""
        return await self._send(versions(ident))

    async def status(self) -> "Status":
        """See `Client.status`."""
        return await self._send(status())

    async def add(self, articles: NewArticle | Iterable[NewArticle]) -> "Report":
        """See `Client.add`."""
        return await self._send(add(articles))

    async def delete(self, ident: str) -> None:
        """See `Client.delete`."""
        await self._send(delete(ident))

    async def reindex(self) -> schemas.Job:
        """See `Client.reindex`."""
        return await self._send(reindex())

    async def job(self, ident: str) -> schemas.Job:
        """See `Client.job`."""
        return await self._send(job(ident))

    async def _send(self, call: Call[Answer]) -> Answer:
        method, url, content, headers = _request(self.url, call)
        try:
            response = await self._http.request(method, url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unserved(self.url, self.timeout, error) from error
        return _answer(self.url, call, response)


def _headers(key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    return {**(headers or {}), **({"Authorization": f"Bearer {key}"} if key else {})}


def _filter(query: Query) -> dict[str, object]:
    return {
        "q": query.text,
        "limit": query.limit,
        "after": query.after and query.after.isoformat(),
        "before": query.before and query.before.isoformat(),
        "as_of": query.as_of.isoformat(),
        "source": query.sources,
        "language": query.languages,
    }


def _narrowed(query: str | Query, options: FilterOptions, limit: int) -> dict[str, object]:
    parameters = _filter(Query.narrowed(query, options, limit=limit))
    by_its_clock = isinstance(query, str) and options.get("as_of") is None
    return parameters | {"as_of": None} if by_its_clock else parameters


def _request(url: str, call: Call[Any]) -> tuple[str, str, str | None, dict[str, str] | None]:
    # Half characters, which programs make that cut texts by UTF-16 units, stop neither of these two.
    parameters = {name: value for name, value in (call.parameters or {}).items() if value is not None}
    query = urlencode(parameters, doseq=True, errors="replace")
    content = None if call.body is None else json.dumps(call.body)
    headers = None if call.body is None else {"Content-Type": "application/json"}
    return call.method, f"{url}{call.path}?{query}".rstrip("?"), content, headers


def _answer(url: str, call: Call[Answer], response: httpx.Response) -> Answer:
    """Return what a server answers; raises the error that a Library would have raised."""
    if response.status_code == httpx.codes.NO_CONTENT:
        return call.read(None)
    try:
        value = response.json()
    except ValueError:
        value = None
    if response.is_success and value is not None:
        return call.read(value)
    match value:
        case {"error": {"code": str(code), "message": str(message), "hint": str(hint) | (None as hint)}}:
            known = {kind.code: kind for kind in SearchsvcError.__subclasses__() if kind is not Unserved}
            raise known[code](message, hint) if code in known else Unserved(message, hint, code)
    message = f"{url} answered {response.status_code}, and not as a server of searchsvc does"
    raise Unserved(message, "is that its address?", "alien")


def _unserved(url: str, timeout: float, error: Exception) -> Unserved:
    if isinstance(error, httpx.TimeoutException):
        message = f"{url} did not answer within {timeout:g} seconds"
        return Unserved(message, "try again, or give the client a longer timeout", "timed_out")
    return Unserved(f"{url} cannot be reached: {error}", "searchsvc serve starts a server", "unreachable")


def _part(ident: str) -> str:
    return percent_encoded(ident, safe="")
