"""A client: what `Library` does in this process, asked of a server over HTTP, with the same names and arguments.

Answers are the server's JSON as it is, typed in `shapes`: plain dictionaries, so that nothing is lost or renamed on the
way. What goes wrong is raised as the same errors that a Library raises, with the server's words.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote, urlencode

import httpx

from searchsvc.errors import SearchsvcError, Unserved
from searchsvc.schemas import (
    AddReport,
    Brief,
    FullArticle,
    Job,
    NewArticle,
    QuoteCheck,
    Results,
    SimilarArticles,
    Status,
    Timeline,
    Versions,
)

TIMEOUT = 30.0  # seconds; a server that has just started loads its model before it answers

Moment = datetime | str | None  # as text: as the HTTP parameter is written, where a date alone means a whole day


class Client:
    """One server. Safe to use from many threads; `with` closes its connections."""

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, timeout: float = TIMEOUT, headers: Mapping[str, str] | None = None
    ) -> None:
        """Name the server; nothing is sent before something is asked.

        `timeout` is in seconds, for each of connecting, sending and waiting for the answer. `headers` go with every
        request, for a server that stands behind a password.
        """
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = httpx.Client(timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ------------------------------------------------------------------ asking

    def search(
        self,
        question: str,
        *,
        limit: int = 10,
        per_article: int = 1,
        max_tokens: int | None = None,
        after: Moment = None,
        before: Moment = None,
        as_of: Moment = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
        freshness: bool = True,
        fold: bool = True,
        period: bool = True,
        explain: bool = False,
    ) -> Results:
        """Results a question with the best passages of the best `limit` articles, as `Library.search` does."""
        asked = {
            "q": question,
            "limit": limit,
            "per_article": per_article,
            "max_tokens": max_tokens,
            "freshness": "auto" if freshness else "off",
            "fold": fold,
            "period": "auto" if period else "off",
            "explain": explain,
            **_narrowed(after, before, as_of, sources, languages),
        }
        return cast(Results, self._ask("POST", "/search", body=asked))

    def timeline(
        self,
        question: str,
        *,
        limit: int = 20,
        after: Moment = None,
        before: Moment = None,
        as_of: Moment = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
    ) -> Timeline:
        """Return the story that a question asks for in its best `limit` days, the best hit of each, oldest first."""
        asked = {"q": question, "limit": limit, **_narrowed(after, before, as_of, sources, languages)}
        return cast(Timeline, self._ask("GET", "/timeline", asked))

    def brief(
        self,
        question: str,
        *,
        limit: int = 12,
        after: Moment = None,
        before: Moment = None,
        as_of: Moment = None,
        sources: Iterable[str] = (),
        languages: Iterable[str] = (),
    ) -> Brief:
        """Return what at most `limit` articles answer, in their own sentences, each with its citation, by day."""
        asked = {"q": question, "limit": limit, **_narrowed(after, before, as_of, sources, languages)}
        return cast(Brief, self._ask("GET", "/brief", {**asked, "format": "json"}))

    def verify_quote(self, quote: str, ident: str | None = None) -> QuoteCheck:
        """Say whether an article, or without `ident` any, says this word for word or nearly, and where."""
        return cast(QuoteCheck, self._ask("GET", "/verify_quote", {"quote": quote, "id": ident}))

    def article(self, ident: str, *, around: tuple[int, int] | None = None) -> FullArticle:
        """Return the article with this id, or the window `around` these offsets of it; raises NotFound."""
        window = None if around is None else f"{around[0]}-{around[1]}"
        return cast(FullArticle, self._ask("GET", f"/articles/{_part(ident)}", {"around": window}))

    def similar(self, ident: str, limit: int = 10) -> SimilarArticles:
        """Return the `limit` articles most like this one, without its copies; raises NotFound."""
        return cast(SimilarArticles, self._ask("GET", f"/articles/{_part(ident)}/similar", {"limit": limit}))

    def versions(self, ident: str) -> Versions:
        """Return the texts that an article has had, newest first; raises NotFound."""
        return cast(Versions, self._ask("GET", f"/articles/{_part(ident)}/versions"))

    def status(self) -> Status:
        """Return what is indexed, how much, how fresh."""
        return cast(Status, self._ask("GET", "/status"))

    # ------------------------------------------------------------------ changing

    def add(self, articles: NewArticle | Sequence[NewArticle]) -> AddReport:
        """Add one article or up to 1,000, or replace those with the same key; searchable when this returns."""
        return cast(AddReport, self._ask("POST", "/articles", body=articles))

    def delete(self, ident: str) -> None:
        """Take an article out of the index; raises NotFound."""
        self._ask("DELETE", f"/articles/{_part(ident)}")

    def reindex(self) -> Job:
        """Have the served files, folders and feeds looked at; `job` says how that stands."""
        return cast(Job, self._ask("POST", "/reindex"))

    def job(self, ident: str) -> Job:
        """Return how a job stands; raises NotFound."""
        return cast(Job, self._ask("GET", f"/jobs/{_part(ident)}"))

    def _ask(self, method: str, path: str, query: Mapping[str, object] | None = None, body: object = None) -> Any:
        # Half characters, which programs make that cut texts by UTF-16 units, stop neither of these two.
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = f"{self.url}{path}?{urlencode(given, doseq=True, errors='replace')}".rstrip("?")
        content = None if body is None else json.dumps(body)
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, url, content=content, headers=headers)
        except httpx.TimeoutException as fault:
            said = f"{self.url} did not answer within {self.timeout:g} seconds"
            raise Unserved(said, "try again, or give the client a longer timeout", "timed_out") from fault
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            said = f"{self.url} cannot be reached: {fault}"
            raise Unserved(said, "searchsvc serve starts a server", "unreachable") from fault
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            value = answer.json()
        except ValueError:
            value = None
        if answer.is_success and value is not None:
            return value
        raise _error(self.url, answer.status_code, value)


def _error(url: str, status: int, value: object) -> SearchsvcError:
    """Return what a server's refusal says, as the error that a Library would have raised, where there is one."""
    match value:
        case {"error": {"code": str(code), "message": str(message), "hint": str(hint) | (None as hint)}}:
            known = {kind.code: kind for kind in SearchsvcError.__subclasses__() if kind is not Unserved}
            return known[code](message, hint) if code in known else Unserved(message, hint, code)
    return Unserved(f"{url} answered {status}, and not as a server of searchsvc does", "is that its address?", "alien")


def _narrowed(
    after: Moment, before: Moment, as_of: Moment, sources: Iterable[str], languages: Iterable[str]
) -> dict[str, object]:
    return {
        "after": _written(after),
        "before": _written(before),
        "as_of": _written(as_of),
        "source": list(sources),
        "language": list(languages),
    }


def _written(moment: Moment) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _part(ident: str) -> str:
    return quote(ident, safe="")
