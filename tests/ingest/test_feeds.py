"""Feeds by URL: what of them is news, where its text comes from, and when a feed is asked again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from searchsvc.catalogue import FeedState
from searchsvc.errors import Unreadable
from searchsvc.ingest.feeds import News, Poll
from searchsvc.ingest.fetching import Fetcher
from searchsvc.readers.process import ReaderProcesses, memory_for
from searchsvc.text.article import Problem, RawArticle

Site = Any  # see conftest

NOW = datetime(2024, 6, 18, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=15)
LIMIT = 1_000_000
READERS = ReaderProcesses(60, memory_for(LIMIT))
JUNE_18 = datetime(2024, 6, 18, 7, 30, tzinfo=UTC)

FIRST = "Ministers from four countries agreed on Tuesday to clean the river within ten years, ending a dispute."
SECOND = "The plan costs 4.2 billion euros, of which most will be paid by the two northern states together."
PAGE = f"""<!DOCTYPE html><html lang="en"><head><title>River plan | Post</title>
<meta name="author" content="Jane Smith"><meta property="article:published_time" content="2024-06-17T08:00:00Z">
</head><body><nav><a href="/">Home</a></nav><article><h1>River plan</h1>
<p>{FIRST}</p><p>{SECOND}</p></article></body></html>"""


def rss(*items: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Post</title>
<link>/</link><language>en-gb</language>{"".join(f"<item>{item}</item>" for item in items)}</channel></rss>"""


SUMMARY = """<title>River plan agreed</title><link>/river</link><guid>/river</guid>
<pubDate>Tue, 18 Jun 2024 09:30:00 +0200</pubDate><description>Four countries agree.</description>"""
WHOLE = """<title>Grain</title><link>/grain</link><guid isPermaLink="false">17</guid>
<content:encoded>&lt;p&gt;The price of grain fell.&lt;/p&gt;&lt;p&gt;Nobody knew why.&lt;/p&gt;</content:encoded>"""


class Reader:
    """Whoever polls one feed again and again, and records what it is told to."""

    def __init__(self, url: str, limit: int = LIMIT) -> None:
        self.url = url
        self.limit = limit
        self.state = FeedState()
        self.digests: dict[str, bytes] = {}
        self.articles: dict[str, RawArticle] = {}
        self._fetcher = Fetcher(private=True, pause=0)

    def poll(self) -> list[News]:
        poll = Poll(self.url, self.state, self.digests.get, self._fetcher, READERS, self.limit, now=NOW)
        try:
            news = list(poll)
        finally:
            self.state = poll.state
        self.digests |= {one.key: one.digest for one in news}
        self.articles |= {one.key: one.article for one in news if one.article}
        return news

    def fails(self) -> str:
        with pytest.raises(Unreadable) as caught:
            self.poll()
        return caught.value.message


@pytest.fixture
def reader(site: Site) -> Reader:
    return Reader(f"{site.url}/feed")


def river(site: Site, text: str, author: str | None = None) -> RawArticle:
    return RawArticle(
        key=f"{site.url}/river",
        title="River plan agreed",
        text=text,
        url=f"{site.url}/river",
        author=author,
        published=JUNE_18,
        published_from="given",
        language="en",
    )


def problems(news: list[News]) -> list[Problem]:
    return [problem for one in news for problem in one.problems]


# Where the text comes from


def test_a_summary_is_completed_from_its_page_and_a_whole_text_is_not(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(SUMMARY, WHOLE), "application/rss+xml")
    site.page("/river", PAGE)
    assert [one.article for one in reader.poll()] == [
        river(site, f"{FIRST}\n\n{SECOND}", "Jane Smith"),
        RawArticle(
            key=f"{site.url}/feed#17",
            title="Grain",
            text="The price of grain fell.\n\nNobody knew why.",
            url=f"{site.url}/grain",
            language="en",
        ),
    ]
    assert site.asked == ["/feed", "/robots.txt", "/river"]


def test_what_the_feed_does_not_say_comes_from_the_page(site: Site, reader: Reader) -> None:
    site.page("/feed", rss("<link>/river</link>").replace("<language>en-gb</language>", ""), "application/rss+xml")
    site.page("/river", PAGE)
    (news,) = reader.poll()
    assert news.article == RawArticle(
        key=f"{site.url}/river",
        title="River plan",
        text=f"{FIRST}\n\n{SECOND}",
        url=f"{site.url}/river",
        author="Jane Smith",
        published=datetime(2024, 6, 17, 8, tzinfo=UTC),
        published_from="meta",
        language="en",
    )


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        ("", "text/html", 404, "answered 404"),
        ("%PDF", "application/pdf", 200, "is application/pdf, not a web page"),
        ("<p>Please accept cookies.</p>", "text/html", 200, "no article text found in the page"),
        ("", "text/html", 200, "is empty"),
    ],
)
def test_a_page_that_cannot_be_used_leaves_the_summary(
    site: Site, reader: Reader, body: str, kind: str, status: int, reason: str
) -> None:
    site.page("/feed", rss(SUMMARY), "application/rss+xml")
    site.page("/river", body, kind, status)
    (news,) = reader.poll()
    assert news.article == river(site, "Four countries agree.")
    assert news.problems == (
        Problem(
            f"{site.url}/river",
            f"the text is the feed's summary, since the page cannot be used: {reason}",
            lost=False,
        ),
    )
    assert reader.poll() == []


def test_a_page_that_robots_txt_denies_leaves_the_summary(site: Site, reader: Reader) -> None:
    site.page("/robots.txt", "User-agent: *\nDisallow: /\n", "text/plain")
    site.page("/feed", rss(SUMMARY), "application/rss+xml")
    site.page("/river", PAGE)
    (news,) = reader.poll()
    assert news.article == river(site, "Four countries agree.")
    assert [problem.reason for problem in news.problems] == [
        "the text is the feed's summary, since the page cannot be used: robots.txt does not allow it"
    ]
    assert site.asked == ["/feed", "/robots.txt"]


def test_a_page_with_less_text_than_the_summary_leaves_the_summary(site: Site, reader: Reader) -> None:
    summary = "A long summary says it all. " * 20
    site.page("/feed", rss(SUMMARY.replace("Four countries agree.", summary)), "application/rss+xml")
    site.page("/river", PAGE)
    (news,) = reader.poll()
    assert news.article == river(site, summary.strip())
    assert [problem.reason for problem in news.problems] == [
        "the text is the feed's summary, since the page cannot be used: has less text"
    ]


def test_an_entry_without_a_text_or_a_page_is_lost(site: Site, reader: Reader) -> None:
    site.page("/feed", rss("<title>A</title><link>/gone</link>", "<title>B</title>"), "application/rss+xml")
    first, second = reader.poll()
    assert (first.article, first.problems) == (None, (Problem(f"{site.url}/gone", "answered 404"),))
    assert (second.article, second.problems) == (None, (Problem(f"{site.url}/feed, entry 2", "no text"),))


def test_a_page_that_is_down_is_asked_for_again_at_the_next_poll(site: Site, reader: Reader) -> None:
    other = SUMMARY.replace("/river", "/second").replace("River plan", "Second")
    site.page("/feed", rss(SUMMARY, other), "application/rss+xml", ETag='"1"')
    for path in ("/river", "/second"):
        site.page(path, PAGE, status=500)
    news = reader.poll()
    assert [one.article and one.article.text for one in news] == ["Four countries agree."] * 2
    assert problems(news) == [
        Problem(f"{site.url}{path}", "the page is to be asked for again: answered 500", lost=False)
        for path in ("/river", "/second")
    ]
    assert site.asked == ["/feed", "/robots.txt", "/river"]  # one failure speaks for the whole host
    again = reader.poll()
    assert [one.article for one in again] == [None, None]
    for path in ("/river", "/second"):
        site.page(path, PAGE)
    assert [one.article and one.article.text for one in reader.poll()] == [f"{FIRST}\n\n{SECOND}"] * 2
    assert reader.poll() == []


def test_an_outage_does_not_replace_a_text_by_its_summary(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(SUMMARY), "application/rss+xml")
    site.page("/river", PAGE)
    reader.poll()
    site.page("/feed", rss(SUMMARY.replace("Four", "Five")), "application/rss+xml")
    site.page("/river", PAGE, status=500)
    (news,) = reader.poll()
    assert (news.article, news.digest) == (None, b"")
    assert news.problems == (
        Problem(f"{site.url}/river", "the page is to be asked for again: answered 500", lost=False),
    )
    assert reader.articles[news.key].text == f"{FIRST}\n\n{SECOND}"


def test_an_article_above_the_limit_costs_only_itself(site: Site) -> None:
    site.page("/feed", rss(WHOLE, WHOLE.replace("17", "18").replace("The price", "x" * 200)), "application/rss+xml")
    reader = Reader(f"{site.url}/feed", limit=100)
    first, second = reader.poll()
    assert first.article is not None
    assert first.article.text == "The price of grain fell.\n\nNobody knew why."
    assert second.problems == (Problem(f"{site.url}/feed, entry 2", "is larger than 100 bytes"),)


# What is news


def test_a_page_is_fetched_once_and_again_when_its_entry_has_changed(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(SUMMARY), "application/rss+xml")
    site.page("/river", PAGE)
    (news,) = reader.poll()
    site.asked.clear()
    assert reader.poll() == []
    assert site.asked == ["/feed"]
    site.page("/feed", rss(SUMMARY.replace("agreed", "agreed at last")), "application/rss+xml")
    (changed,) = reader.poll()
    assert changed.key == news.key
    assert changed.digest != news.digest
    assert changed.article is not None
    assert changed.article.title == "River plan agreed at last"
    assert site.asked == ["/feed", "/feed", "/river"]


@pytest.mark.parametrize(
    ("header", "value", "kept"),
    [
        ("ETag", '"abc"', FeedState(etag='"abc"', next_at=SOON)),
        (
            "Last-Modified",
            "Tue, 18 Jun 2024 09:30:00 GMT",
            FeedState(modified="Tue, 18 Jun 2024 09:30:00 GMT", next_at=SOON),
        ),
    ],
)
def test_a_feed_that_has_not_changed_is_not_read(
    site: Site, reader: Reader, header: str, value: str, kept: FeedState
) -> None:
    site.page("/feed", rss(WHOLE), "application/rss+xml", **{header: value})
    assert [one.key for one in reader.poll()] == [f"{site.url}/feed#17"]
    assert reader.state == kept
    reader.digests.clear()
    assert reader.poll() == []
    assert reader.state == kept


def test_a_feed_that_has_moved_to_another_server_is_asked_there_whether_it_has_changed(
    site: Site, reader: Reader, running: Any
) -> None:
    with running() as other:
        site.pages["/feed"] = [(301, {"Location": f"{other.url}/feed"}, b"")]
        other.page("/feed", rss(WHOLE), "application/rss+xml", ETag='"abc"')
        assert len(reader.poll()) == 1
        assert reader.state == FeedState(etag='"abc"', next_at=SOON, given_by=f"{other.url}/feed")
        assert reader.poll() == []
        assert [headers.get("If-None-Match") for headers in site.headers] == [None, None]
        assert [headers.get("If-None-Match") for headers in other.headers] == [None, '"abc"']
        assert reader.state.given_by == f"{other.url}/feed"
        site.page("/feed", rss(WHOLE), "application/rss+xml", ETag='"own"')  # and has come back
        reader.poll()
        assert site.headers[-1].get("If-None-Match") is None
        assert reader.state == FeedState(etag='"own"', next_at=SOON)


def test_the_first_of_two_entries_with_one_key_is_the_one(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(WHOLE, WHOLE.replace("Grain", "Corn")), "application/rss+xml")
    assert [one.article and one.article.title for one in reader.poll()] == ["Grain"]
    assert reader.poll() == []


def test_no_more_than_five_hundred_entries_are_read(site: Site, reader: Reader) -> None:
    items = [WHOLE.replace(">17<", f">{number}<") for number in range(600)]
    site.page("/feed", rss(*items), "application/rss+xml")
    assert [one.key for one in reader.poll()] == [f"{site.url}/feed#{number}" for number in range(500)]


def test_a_key_and_an_address_without_end_are_not_kept_as_they_are(site: Site, reader: Reader) -> None:
    long = "x" * 100_000
    item = {"id": long, "url": f"https://post.example/{long}", "content_text": "It rained."}
    feed = {"version": "https://jsonfeed.org/version/1.1", "items": [item, item | {"id": long + "y"}]}
    site.page("/feed", json.dumps(feed), "application/feed+json")
    first, second = reader.poll()
    assert max(len(first.key), len(second.key)) < 300
    assert first.key != second.key
    assert first.article is not None
    assert first.article.url is None
    assert reader.poll() == []


def test_a_poll_that_is_interrupted_keeps_the_state(site: Site) -> None:
    site.page("/feed", rss(WHOLE, SUMMARY), "application/rss+xml", ETag='"1"')
    poll = Poll(
        f"{site.url}/feed", FeedState(), lambda _: None, Fetcher(private=True, pause=0), READERS, LIMIT, now=NOW
    )
    assert next(iter(poll)).key == f"{site.url}/feed#17"
    assert poll.state == FeedState()


# Formats

ATOM = """<?xml version="1.0" encoding="ISO-8859-1"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Post</title><entry><id>tag:post.example,2024:1</id>
<title>Über den Fluß</title><link href="../fluss"/><updated>2024-06-18T09:30:00+02:00</updated>
<author><name>Ann</name></author>
<content type="html">&lt;p&gt;Der Fluß wird sauber.&lt;/p&gt;</content></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel rdf:about="/"><title>Post</title></channel>
<item rdf:about="https://post.example/1"><title>Über den Fluß</title>
<link>/fluss</link><dc:date>2024-06-18T09:30:00+02:00</dc:date><dc:creator>Ann</dc:creator><dc:language>de</dc:language>
<content:encoded><![CDATA[<p>Der Fluß wird sauber.</p>]]></content:encoded></item></rdf:RDF>"""
JSON = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "Post",
    "language": "de",
    "authors": [{"name": "Ann"}],
    "items": [
        {
            "id": "urn:post:1",
            "url": "/fluss",
            "title": "Über den Fluß",
            "content_html": "<p>Der Fluß wird sauber.</p>",
            "date_published": "2024-06-18T09:30:00+02:00",
        }
    ],
}


@pytest.mark.parametrize(
    ("body", "kind", "key"),
    [
        (ATOM.encode("iso-8859-1"), "application/atom+xml", "tag:post.example,2024:1"),
        (ATOM.replace("ISO-8859-1", "UTF-8").encode(), "text/plain", "tag:post.example,2024:1"),
        (ATOM.partition("\n")[2].encode("cp1252"), "text/xml; charset=windows-1252", "tag:post.example,2024:1"),
        (RDF.encode(), "application/rdf+xml", "https://post.example/1"),
        (RDF.encode("utf-16"), "text/html", "https://post.example/1"),
        (json.dumps(JSON).encode(), "application/feed+json", "urn:post:1"),
    ],
)
def test_every_format_gives_the_same_article(site: Site, body: bytes, kind: str, key: str) -> None:
    site.page("/news/feed", body, kind)
    (news,) = Reader(f"{site.url}/news/feed").poll()
    assert news.problems == ()
    assert news.article == RawArticle(
        key=key,
        title="Über den Fluß",
        text="Der Fluß wird sauber.",
        url=f"{site.url}/fluss",
        author="Ann",
        published=JUNE_18,
        published_from="given",
        language="de",
    )


def test_links_are_resolved_where_the_redirects_ended_and_keys_belong_to_the_feed_that_was_named(
    site: Site, reader: Reader
) -> None:
    site.page("/feed", "", status=301, Location="/moved/here/feed.xml")
    site.page("/moved/here/feed.xml", rss(WHOLE.replace("/grain", "grain")), "application/rss+xml")
    (news,) = reader.poll()
    assert news.article is not None
    assert (news.article.url, news.key) == (f"{site.url}/moved/here/grain", f"{site.url}/feed#17")


def test_of_a_feed_that_is_cut_short_what_there_is_is_read(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(WHOLE)[: -len("</channel></rss>")], "application/rss+xml", ETag='"1"')
    assert [one.key for one in reader.poll()] == [f"{site.url}/feed#17"]
    assert reader.state == FeedState(next_at=SOON)


# What is no feed, and feeds that fail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PAGE, "is a web page, not a feed"),
        (
            PAGE.replace("<head>", "<head><link rel='alternate' type='application/atom+xml' href='news/atom'>"),
            "is a web page, not a feed; the feed that it names is {site}/news/atom",
        ),
        (
            "<link rel='x Alternate' type='application/rss+xml; charset=utf-8' href='//post.example/rss'><p>no end",
            "is a web page, not a feed; the feed that it names is http://post.example/rss",
        ),
    ],
)
def test_a_web_page_names_its_feed(site: Site, reader: Reader, body: str, reason: str) -> None:
    site.page("/feed", body)
    assert reader.fails() == reason.format(site=site.url)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (PAGE, "application/xhtml+xml", "is a web page, not a feed"),
        ("<urlset><url/></urlset>", "text/xml", "is no feed: its outermost element is urlset"),
        ("nothing at all", "text/plain", "is no feed"),
        ('{"items": []}', "application/json", "is JSON, but no JSON Feed"),
        ("{", "application/json", "not valid JSON: Expecting property name enclosed in double quotes at character 2"),
        ("", "text/xml", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png", "looks binary, not text"),
    ],
)
def test_what_is_no_feed_says_what_it_is(site: Site, reader: Reader, body: str | bytes, kind: str, reason: str) -> None:
    site.page("/feed", body, kind)
    assert reader.fails() == reason


def test_a_failing_feed_is_left_alone_twice_as_long_each_time_up_to_a_day(site: Site, reader: Reader) -> None:
    site.page("/feed", rss(WHOLE), "application/rss+xml", ETag='"1"')
    reader.poll()
    site.page("/feed", "", status=404)
    waits = []
    for failures in range(1, 10):
        assert reader.fails() == "answered 404"
        assert reader.state.next_at is not None
        waits.append((reader.state.next_at - NOW) / timedelta(minutes=15))
        assert reader.state == FeedState('"1"', None, failures, reader.state.next_at)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 96, 96]
    site.page("/feed", rss(WHOLE), "application/rss+xml", ETag='"2"')
    assert reader.poll() == []
    assert reader.state == FeedState('"2"', None, 0, SOON)


def test_a_feed_that_asks_to_be_left_alone_is(site: Site, reader: Reader) -> None:
    site.page("/feed", "", status=503, Retry_After="172800")
    assert reader.fails() == "answered 503"
    assert reader.state == FeedState(failures=1, next_at=NOW + timedelta(days=2))


class Faulty(Fetcher):
    """Meets what nobody foresaw at one URL."""

    at = ""

    def get(self, url: str, **named: Any) -> Any:
        assert url != self.at
        return super().get(url, **named)


def test_an_entry_that_meets_what_nobody_foresaw_costs_itself_alone_until_it_changes(site: Site) -> None:
    site.page("/feed", rss(SUMMARY, WHOLE), "application/rss+xml", ETag='"1"')
    fetcher, digests = Faulty(private=True, pause=0), dict[str, bytes]()
    fetcher.at = f"{site.url}/river"
    poll = Poll(f"{site.url}/feed", FeedState(), digests.get, fetcher, READERS, LIMIT, now=NOW)
    first, second = poll
    assert (first.article, first.problems) == (
        None,
        (Problem(f"{site.url}/feed, entry 1", "cannot be handled: an unexpected AssertionError"),),
    )
    assert second.article is not None
    assert poll.state == FeedState(etag='"1"', next_at=SOON)
    digests |= {one.key: one.digest for one in (first, second)}
    assert list(Poll(f"{site.url}/feed", FeedState(), digests.get, fetcher, READERS, LIMIT, now=NOW)) == []


def test_a_feed_that_meets_what_nobody_foresaw_has_failed_and_is_left_alone_for_a_while(site: Site) -> None:
    fetcher = Faulty(private=True, pause=0)
    fetcher.at = f"{site.url}/feed"
    poll = Poll(f"{site.url}/feed", FeedState(), lambda _: None, fetcher, READERS, LIMIT, now=NOW)
    with pytest.raises(Unreadable, match=r"^cannot be read: an unexpected AssertionError$"):
        list(poll)
    assert poll.state == FeedState(failures=1, next_at=SOON)


def test_a_feed_on_a_private_network_is_refused(site: Site) -> None:
    poll = Poll(f"{site.url}/feed", FeedState(), lambda _: None, Fetcher(pause=0), READERS, LIMIT, now=NOW)
    with pytest.raises(Unreadable, match=r"^refused: 127\.0\.0\.1 is on a private network"):
        list(poll)
    assert poll.state == FeedState(failures=1, next_at=SOON)
    assert site.asked == []


def test_what_is_wrong_with_a_feed_is_said_without_its_password_and_keys(site: Site) -> None:
    site.page("/feed?token=secret", rss(SUMMARY), "application/rss+xml")
    site.page("/river", "gone", status=410)
    address = f"{site.url}/feed?token=secret"
    (news,) = Poll(address, FeedState(), lambda _: None, Fetcher(private=True, pause=0), READERS, 10, now=NOW)
    assert [problem.lost for problem in news.problems] == [False, True]
    assert news.problems[1].where.startswith(f"{site.url}/feed?…")
    assert "secret" not in repr(news.problems)
