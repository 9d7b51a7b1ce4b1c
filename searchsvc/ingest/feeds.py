"""Feeds by URL: what is new in one since it was last polled, page by page.

    feed ── fetched, unless unchanged ── entries ── those not known as they are ── News(key, digest, article)
                                                            │
                                                            └── a summary: the page that it links to, for the full text

Nothing is remembered here. A caller records each entry's digest with its article, and at the end the feed's new state,
so that whatever interrupts a poll, the next one goes on where it ended.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from searchsvc.catalogue import FeedState
from searchsvc.errors import SearchsvcError, Unreadable
from searchsvc.ingest.fetching import Fetched, Fetcher, Unfetched, is_same_server, parsed
from searchsvc.readers.compression import too_large
from searchsvc.readers.feed import Feed, FeedEntry, from_entry
from searchsvc.readers.process import ReaderProcesses
from searchsvc.text.article import Problem, RawArticle, public_address, site_of

MAX_ENTRIES = 500
INTERVAL = timedelta(minutes=15)
MAX_PAUSE = timedelta(days=1)  # for which a failing feed is left alone, unless it asks for more

PAGES = frozenset({"text/html", "application/xhtml+xml"})

_log = logging.getLogger("searchsvc")


@dataclass(frozen=True, slots=True)
class News:
    """An entry that is new or has changed.

    `digest` is to be recorded for `key` together with the article, and given back by `known`; it is empty where the
    page could not be had just now, so that the entry is looked at again. Without an article, one of the problems says
    why.
    """

    key: str
    digest: bytes
    article: RawArticle | None
    problems: tuple[Problem, ...] = ()


class Poll:
    """One look at a feed: iterate over it once for its news, then record its `state`.

    Iterating raises `Unreadable` where the feed cannot be had or is none; then too, `state` is what to record.
    """

    def __init__(
        self,
        url: str,
        state: FeedState,
        known: Callable[[str], bytes | None],
        fetcher: Fetcher,
        readers: ReaderProcesses,
        limit: int,
        *,
        now: datetime,
        interval: timedelta = INTERVAL,
    ) -> None:
        """Prepare to ask the feed at `url`, last left in `state`.

        `known` returns the digest recorded for a key; `limit` is the most bytes that one article may have; `interval`
        is the time between two polls that went well, `now` (UTC) when this one is.
        """
        self.url = url
        self._name = public_address(url)
        self.state = state
        self._known = known
        self._fetcher = fetcher
        self._readers = readers
        self._limit = limit
        self._now = now
        self._interval = interval
        self._silent: dict[str | None, str] = {}  # hosts that are not asked again in this poll, and why

    def __iter__(self) -> Iterator[News]:
        """Yield what is new, in the order of the feed."""
        before = self.state
        try:
            fetched = self._fetcher.get(
                self.url, etag=before.etag, modified=before.modified, given_by=before.given_by, robots=False
            )
            feed = self._feed(fetched) if fetched else Feed(())
        except Unreadable as fault:
            self.state = self._after(fault)
            raise
        except SearchsvcError:
            raise  # such as no room for a process that reads
        except Exception as fault:
            _log.exception("a feed cannot be handled")
            unread = Unreadable(f"cannot be read: an unexpected {type(fault).__name__}")
            self.state = self._after(unread)
            raise unread from fault
        complete, seen = not feed.cut_short, set[str]()
        for number, entry in enumerate(feed.entries, 1):
            key, digest = entry.key_within(self.url), _digest(entry)
            recorded = digest if key in seen else self._known(key)
            seen.add(key)
            if recorded == digest:
                continue
            news = self._safely(entry, key, digest, f"{self._name}, entry {number}", recorded is not None)
            complete = complete and bool(news.digest)
            yield news
        self.state = FeedState(
            # While something is missing, "unchanged" is not the answer to ask for.
            etag=(fetched.etag if fetched else before.etag) if complete else None,
            modified=(fetched.modified if fetched else before.modified) if complete else None,
            next_at=self._now + self._interval,
            given_by=self._given_by(fetched) if fetched else before.given_by,
        )

    def _given_by(self, fetched: Fetched) -> str | None:
        """Return where redirects led to, if that is another server."""
        return None if is_same_server(parsed(self.url), parsed(fetched.url)) else fetched.url

    def _after(self, fault: Unreadable) -> FeedState:
        failures = self.state.failures + 1
        pause = min(self._interval * 2 ** min(failures - 1, 20), max(MAX_PAUSE, self._interval))
        retry_after = fault.retry_after if isinstance(fault, Unfetched) else None
        return replace(
            self.state, failures=failures, next_at=self._now + max(pause, timedelta(seconds=retry_after or 0.0))
        )

    def _safely(self, entry: FeedEntry, key: str, digest: bytes, where: str, indexed: bool) -> News:
        """Return the news in an entry; whatever it does to a library costs this one alone.

        It is looked at again when it has changed; where this machine was at fault, at the next poll.
        """
        try:
            return self._news(entry, key, digest, where, indexed)
        except SearchsvcError:
            raise
        except Exception as fault:  # noqa: BLE001  nobody knows what a library raises on another page
            _log.exception("an entry of a feed cannot be handled")
            reason = f"cannot be handled: an unexpected {type(fault).__name__}"
            ours = isinstance(fault, OSError | MemoryError)
            return News(key, b"" if ours else digest, None, (Problem(where, reason, lost=not indexed),))

    def _news(self, entry: FeedEntry, key: str, digest: bytes, where: str, indexed: bool) -> News:
        problems: list[Problem] = []
        page: RawArticle | None = None
        if entry.url and not entry.whole:
            try:
                page = self._page(entry.url, len(entry.text))
            except Unreadable as fault:
                passing = isinstance(fault, Unfetched) and fault.passing
                problems.append(_without_page(entry, fault, passing, indexed))
                digest = b"" if passing else digest
                # What is indexed may be the full text, which a summary shall not replace for an hour's outage.
                if not entry.text or (passing and indexed):
                    return News(key, digest, None, tuple(problems))
        if page:
            entry = replace(
                entry,
                text=page.text,
                title=entry.title or page.title,
                author=entry.author or page.author,
                language=entry.language or page.language,
            )
        article: RawArticle | None = None
        for result in from_entry(entry, where, self.url):
            if isinstance(result, Problem):
                problems.append(result)
            elif len(result.text.encode()) > self._limit:
                problems.append(Problem(where, too_large(self._limit).message))
            else:
                article = result
        if article and page and article.published is None:
            article = replace(article, published=page.published, published_from=page.published_from)
        return News(key, digest, article, tuple(problems))

    def _page(self, url: str, shortest: int) -> RawArticle:
        """Return the article on a page; raises `Unreadable` where it has less text than that many characters."""
        host = site_of(url)
        if host in self._silent:
            raise Unfetched(self._silent[host], passing=True)
        try:
            fetched = self._fetcher.get(url)
        except Unfetched as fault:
            if fault.passing:
                self._silent[host] = fault.message
            raise
        if fetched is None or fetched.media_type not in {*PAGES, ""}:
            raise Unreadable(f"is {fetched.media_type if fetched else 'unchanged'}, not a web page")
        results = self._readers.article_on(fetched.body, fetched.charset, url)
        (page,) = (result for result in results if isinstance(result, RawArticle))
        if len(page.text) < shortest:
            raise Unreadable("has less text")
        return page

    def _feed(self, fetched: Fetched) -> Feed:
        is_page = fetched.media_type in PAGES
        return self._readers.feed(fetched.body, fetched.url, fetched.charset, MAX_ENTRIES, is_page=is_page)


def _without_page(entry: FeedEntry, fault: Unreadable, passing: bool, indexed: bool) -> Problem:
    if passing:
        reason = f"the page is to be asked for again: {fault.message}"
    elif entry.text:
        reason = f"the text is the feed's summary, since the page cannot be used: {fault.message}"
    else:
        reason = fault.message
    return Problem(entry.url or "", reason, lost=not entry.text and not (passing and indexed))


def _digest(entry: FeedEntry) -> bytes:
    values = (entry.title, entry.text, entry.url, entry.updated)
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()
