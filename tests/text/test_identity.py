"""Whose an article is: what a feed brings is its origin's, adds, and changes nothing that came from elsewhere."""

import itertools
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.ingest.fetching import Fetcher
from searchsvc.interfaces.cli.commands import run
from searchsvc.interfaces.mcp import citations as citing
from searchsvc.library import Library
from searchsvc.settings import Settings
from searchsvc.text.article import Article, RawArticle, article_id
from searchsvc.text.boilerplate import FOREIGN, blocks_in, number_of, without_boilerplate
from searchsvc.text.cleaning import Cleaned
from searchsvc.text.near_duplicates import ComparedText, split_clusters
from searchsvc.text.sources import CLAIMED, FIRST_HAND, OWN, credit, origin_of, standing

Site = Any  # see conftest
Sites = Callable[[], Site]

URL = "https://cnn.example/river"
PARAGRAPH = "The minister denied on Tuesday that the dam at Corvane had been inspected before the flood."
TOPICS = ("harbour", "glacier", "orchestra", "vaccine", "football", "parliament", "satellite")
OWNERS, PAPERS, STRANGERS = (
    f"The river plan was agreed on Tuesday, {who}." for who in ("the archive says", "the paper says", "liars say")
)


@pytest.fixture
def sites(running: Callable[..., AbstractContextManager[Site]]) -> Iterator[Sites]:
    """Run one more site with each call, which another owns."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(running())


@pytest.fixture
def library(open_library: Callable[[], Library]) -> Library:
    library = open_library()
    library._ingestion.__dict__["fetcher"] = Fetcher(private=True, pause=0)
    library.begin()
    return library


def item(guid: str, text: str, *, title: str = "River plan agreed", link: str = "", date: str = "") -> str:
    return (
        f"<item><guid>{guid}</guid><title>{title}</title>"
        + (f"<link>{link}</link>" if link else "")
        + (f"<pubDate>{date}</pubDate>" if date else "")
        + f"<content:encoded>{escape(''.join(f'<p>{line}</p>' for line in text.splitlines()))}</content:encoded></item>"
    )


def feed(site: Site, *items: str, path: str = "/feed") -> str:
    """Serve a feed, and return its address."""
    body = f"""<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
               <title>News</title>{"".join(items)}</channel></rss>"""
    site.page(path, body, "application/rss+xml")
    return f"{site.url}{path}"


def name(site: Site) -> str:
    return f"127.0.0.1:{site.port}"


def entries(library: Library) -> list[Article]:
    """Return all articles in force."""
    added, _ = library.catalogue.changes.between(0, library.catalogue.changes.last())
    return [*library.catalogue.articles.by_row(added).values()]


def told(library: Library) -> dict[tuple[str | None, str], str]:
    """Return the text of each article by origin and key."""
    return {(entry.origin, entry.key): entry.text for entry in entries(library)}


# ---------------------------------------------------------------------- what an origin is


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://feeds.bbci.co.uk/news/rss.xml", "bbci.co.uk"),
        ("http://RSS.CNN.com:8080/x?y#z", "cnn.com"),
        ("https://alice.github.io/feed", "alice.github.io"),
        ("https://alice.substack.com/feed", "alice.substack.com"),
        ("https://feeds.feedburner.com/alice/", "feeds.feedburner.com/alice"),
        ("https://www.medium.com/feed/@alice", "medium.com/feed/@alice"),
        ("https://feeds.agg.example/rss", "agg.example"),
        ("https://news.bücher.de./rss", "xn--bcher-kva.de"),
        ("http://127.0.0.1:8080/feed", "127.0.0.1:8080"),
        ("http://10.1.2.3:80/feed", "10.1.2.3"),
        ("http://[::1]:8080/feed", "[::1]:8080"),
        ("http://localhost:8080/feed", "localhost:8080"),
        ("https://intranet:443/feed", "intranet"),
        ("http://[broken", "http://[broken"),
        ("urn:1", "urn:1"),
    ],
)
def test_an_origin_is_the_registrable_domain(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("source", "url", "origin", "how", "shown"),
    [
        ("CNN", URL, None, OWN, "CNN"),
        ("edition.cnn.com", "https://edition.cnn.com/1", "cnn.com", FIRST_HAND, "edition.cnn.com"),
        ("The Week", "https://www.theweek.co.uk/1", "theweek.co.uk", FIRST_HAND, "The Week"),
        ("127.0.0.1", "http://127.0.0.1:8080/1", "127.0.0.1:8080", FIRST_HAND, "127.0.0.1"),
        (None, None, "agg.example", FIRST_HAND, "agg.example"),
        ("cnn.com", "https://cnn.com/1", "agg.example", CLAIMED, "cnn.com, according to agg.example"),
        ("CNN", "https://agg.example/1", "agg.example", CLAIMED, "CNN, according to agg.example"),
        ("agg.example", "https://cnn.com/1", "agg.example", CLAIMED, "cnn.com, according to agg.example"),
        (None, "https://cnn.com/1", "agg.example", CLAIMED, "cnn.com, according to agg.example"),
        (90 * "cnn.com ", None, "agg.example", CLAIMED, f"{6 * 'cnn.com '}cn…, according to agg.example"),
        ("medium.com", "https://medium.com/@bob/1", "medium.com/feed/@alice", CLAIMED,
         "medium.com, according to medium.com/feed/@alice"),
    ],
)  # fmt: skip
def test_what_a_feed_says_of_another_site_is_told_as_its_word(
    source: str | None, url: str | None, origin: str | None, how: int, shown: str
) -> None:
    assert (standing(source, url, origin), credit(source, url, origin)) == (how, shown)


# ---------------------------------------------------------------------- it adds, and never replaces


@pytest.mark.parametrize("order", [*itertools.permutations(("owner", "paper", "stranger"))], ids=" ".join)
def test_whoever_comes_first_nobody_replaces_what_another_brought(
    library: Library, site: Site, sites: Sites, tmp_path: Path, order: tuple[str, ...]
) -> None:
    other, file = sites(), tmp_path / "news" / "archive.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps({"id": URL, "title": "River plan agreed", "text": OWNERS}))
    paper, stranger = feed(site, item(URL, PAPERS)), feed(other, item(URL, STRANGERS, link=URL))
    came = {"owner": file.parent, "paper": paper, "stranger": stranger}
    for who in order:
        report = library.index([came[who]])
        assert (report.added, report.changed) == (1, 0), who
    every = {(None, URL): OWNERS, (name(site), URL): PAPERS, (name(other), URL): STRANGERS}
    assert told(library) == every
    # The ids are the same in whatever order they came.
    assert {entry.origin: entry.id for entry in entries(library)} == {
        origin: article_id(URL, origin) for origin, _ in every
    }
    assert library.catalogue.articles.get(article_id(URL)).text == OWNERS  # type: ignore[union-attr]
    # What each says anew changes its own alone; what was seen before is known as it is.
    feed(site, item(URL, PAPERS.replace("Tuesday", "Wednesday")))
    for where, changed in ((paper, 1), (stranger, 0), (file.parent, 0)):
        report = library.index([where])
        assert (report.added, report.changed) == (0, changed)
    assert told(library) == every | {(name(site), URL): PAPERS.replace("Tuesday", "Wednesday")}
    assert library.remove([URL]) == 3  # by its key, whoever used it


@pytest.mark.parametrize(
    "key", ["news.txt", "archive.jsonl#7", "urn:isbn:1", "tag:cnn.example,2024:1", article_id("posted"), "posted"]
)
def test_no_guid_takes_the_place_of_what_the_owner_has_under_that_name(library: Library, site: Site, key: str) -> None:
    library.add([RawArticle(key, "River plan", OWNERS), RawArticle("posted", "River plan", OWNERS)])
    before = {entry.id: entry for entry in entries(library)}
    library.index([feed(site, item(key, STRANGERS))])
    after = {entry.id: entry for entry in entries(library)}
    assert {ident: after[ident] for ident in before} == before
    assert [entry.text for ident, entry in after.items() if ident not in before] == [STRANGERS]


def test_several_feeds_of_one_site_bring_one_article(library: Library, site: Site) -> None:
    home, world = feed(site, item(URL, PAPERS), path="/home"), feed(site, item(URL, PAPERS), path="/world")
    assert (library.index([home]).added, library.index([world]).unchanged) == (1, 1)
    feed(site, item(URL, STRANGERS), path="/world")
    assert library.index([world]).changed == 1
    assert told(library) == {(name(site), URL): STRANGERS}


def test_a_feed_updates_its_entries_whether_their_pages_on_another_site_are_read_or_not(
    library: Library, site: Site, sites: Sites
) -> None:
    pages = sites()
    lines = [f"The river plan was agreed by all {number} of the states on that day, at last." for number in range(2, 8)]
    pages.page("/river", f"<html><body><article>{''.join(f'<p>{one}</p>' for one in lines)}</article></body></html>")
    link = f"{pages.url}/river"
    summary = f"<item><guid>{link}</guid><link>{link}</link><title>River</title><description>{{}}</description></item>"
    address = feed(site, summary.format("The plan was agreed."))
    assert library.index([address]).added == 1
    assert told(library) == {(name(site), link): "\n\n".join(lines)}
    pages.pages.clear()
    feed(site, summary.format("The plan was dropped."))
    assert library.index([address]).changed == 1
    assert told(library) == {(name(site), link): "The plan was dropped."}


def test_a_feed_that_moved_stays_what_the_owner_named(library: Library, site: Site, sites: Sites) -> None:
    other = sites()
    address = feed(site, item(URL, PAPERS))
    library.index([address])
    feed(other, item(URL, PAPERS.replace("Tuesday", "Friday")))
    site.page("/feed", "", status=301, Location=f"{other.url}/feed")
    assert library.index([address]).changed == 1
    assert [*told(library)] == [(name(site), URL)]


# ---------------------------------------------------------------------- as it is shown


def test_people_and_programs_see_by_whose_word_a_source_is_known(
    library: Library, site: Site, serving: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index([feed(site, item(URL, STRANGERS, link=URL))])
    monkeypatch.setenv("SEARCHSVC_INDEX", str(library.folder))
    monkeypatch.setenv("COLUMNS", "100")
    said = f"cnn.example, according to {name(site)}"
    assert run(["search", "river plan"]) == 0
    assert said in capsys.readouterr().out
    assert run(["--json", "search", "--source", "cnn.example", "river plan"]) == 0  # it is found by what it claims
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert {field: hit["article"][field] for field in ("source", "url", "origin")} == {
        "source": "cnn.example", "url": URL, "origin": name(site)
    }  # fmt: skip
    assert run(["brief", "river plan"]) == 0
    assert said in re.sub(r"\\(.)", r"\1", capsys.readouterr().out)
    (entry,) = entries(library)
    with serving(library) as client:
        for page in ("/?q=river+plan", f"/read/{entry.id}"):
            assert said in client.get(page).text
        assert client.get(f"/articles/{entry.id}").json()["origin"] == name(site)
    assert f"origin: {name(site)}" in citing.cite_as_text(entry, "/read/")


# ---------------------------------------------------------------------- what recurs


def story(topic: str) -> str:
    return f"Something unheard of took place at the {topic} on Monday.\nNobody near the {topic} had foreseen it."


def passages_with(library: Library, text: str) -> set[str | None]:
    """Return the origins of the articles of which a passage holds this text."""
    space = library.catalogue.spaces.get().row
    return {
        entry.origin
        for entry in entries(library)
        for one in library.catalogue.passages.of_article(entry.row, space)
        if text in entry.text[one.passage.start : one.passage.end]
    }


def test_what_a_feed_repeats_takes_no_paragraph_out_of_what_came_from_elsewhere(
    library: Library, site: Site, sites: Sites
) -> None:
    """As an attack: seven entries that claim the paper's source, and repeat a paragraph of one of its articles."""
    real = f"The dam at Corvane broke in the night.\n{PARAGRAPH}\nTwelve villages were cleared."
    library.add([RawArticle("dam", "Dam breaks", real.replace("\n", "\n\n"), url=URL, source="cnn.example")])
    paper, other = sites(), site
    library.index([feed(paper, item(URL, real, title="Dam breaks", link=URL))])
    library.index([
        feed(other, *(item(f"{URL}/{topic}", f"{story(topic)}\n{PARAGRAPH}", title=topic, link=f"{URL}/{topic}")
                      for topic in TOPICS))
    ])  # fmt: skip
    assert len(entries(library)) == 9
    assert {entry.source for entry in entries(library)} == {"cnn.example"}
    assert passages_with(library, PARAGRAPH) == {None, name(paper)}  # and in the feed's own articles it is junk
    assert library.search("had the dam at Corvane been inspected before the flood").hits[0].answer.text == PARAGRAPH


def test_no_more_is_learnt_of_one_origin_than_can_be_and_of_others_as_ever(
    library: Library, site: Site, sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchsvc.catalogue.boilerplate.MOST_LEARNT", 3)
    pleas = [f"Send money to the {topic} now." for topic in TOPICS[:5]]
    bodies = [f"{story(topic)}\n" + "\n".join(pleas) for topic in TOPICS]
    for origin in (site, sites()):
        library.index([feed(origin, *(item(f"{URL}/{n}", body, title=TOPICS[n]) for n, body in enumerate(bodies)))])
    library.add([RawArticle(str(n), TOPICS[n], body.replace("\n", "\n\n")) for n, body in enumerate(bodies)])
    db = sqlite3.connect(library.catalogue.path)
    learnt = dict(db.execute("SELECT origin, count(*) FROM boilerplate GROUP BY origin").fetchall())
    db.close()
    assert learnt.pop(None) == 5  # the owner's own are not counted against anybody
    assert [*learnt.values()] == [3, 3]
    assert library.verify().problems == ()


def test_junk_takes_no_more_than_half_of_what_a_feed_brought() -> None:
    short, long = "Nothing happened at the harbour today.", "Sign up for our free newsletter and never miss it again."
    text = f"{short}\n\n{long}"
    cleaned = Cleaned(text, ((0, len(text)),))
    ours, theirs = number_of("bbc", long), number_of("bbc", long, "bbc.co.uk")
    assert without_boilerplate(cleaned, "bbc", {ours}).stretches == ((0, len(short)),)
    assert without_boilerplate(cleaned, "bbc", {theirs}, "bbc.co.uk") == cleaned
    assert without_boilerplate(cleaned, "bbc", {number_of("bbc", short, "bbc.co.uk")}, "bbc.co.uk").stretches == (
        (len(short) + 2, len(text)),
    )


def test_blocks_of_the_owners_keep_their_numbers_and_those_of_feeds_can_have_none_of_them() -> None:
    assert number_of("bbc", PARAGRAPH) == 11130468471772  # as in catalogues that were made before there were origins
    assert number_of(None, "你好世界") == 150964376528670
    numbers = {number_of("bbc", PARAGRAPH, origin) for origin in (None, "bbc.co.uk", "agg.example")}
    assert sorted(number >= FOREIGN for number in numbers) == [False, True, True]
    assert max(numbers) < 2**63
    assert [one.number for one in blocks_in("bbc", "", PARAGRAPH, "agg.example")] == [
        number_of("bbc", PARAGRAPH, "agg.example")
    ]


# ---------------------------------------------------------------------- copies of a story

LINES = (
    "The harbour bridge of Aldport was closed to all traffic on Monday after a ferry struck its northern pier in fog.",
    "Eleven passengers were treated for bruises, and the captain was found not guilty of any fault by the inquiry.",
    "Divers went down in the afternoon to look at the foundations, and said that the pier had moved by a hand.",
    "The bridge carries about 18,000 cars a day, which are sent through the old tunnel until it is open again.",
)
BRIDGE = "\n".join(LINES)
QUESTION = "was the captain found guilty after the ferry struck the bridge of Aldport"


@pytest.mark.parametrize("first", ["stranger", "original"])
@pytest.mark.parametrize("original", ["owner's", "paper's"])
def test_no_strangers_copy_stands_for_the_original(
    library: Library, site: Site, sites: Sites, original: str, first: str
) -> None:
    """As an attack: seven copies, edited for the question and with newer dates, that claim to be the paper's."""
    paper, forged = sites(), BRIDGE.replace("not guilty of any fault", "guilty of the fault")

    def publish() -> None:
        if original == "owner's":
            day = datetime(2024, 6, 17, tzinfo=UTC)
            whole = BRIDGE.replace("\n", "\n\n")
            library.add([RawArticle("bridge", "Bridge closed", whole, source="cnn.example", published=day)])
        else:
            link = f"{paper.url}/bridge"
            date = "Mon, 17 Jun 2024 09:00:00 GMT"
            library.index([feed(paper, item(link, BRIDGE, title="Bridge closed", link=link, date=date))])

    def forge() -> None:
        dates = [f"Tue, 18 Jun 2024 09:0{number}:00 GMT" for number in range(7)]
        links = [f"https://cnn.example/bridge/{number}" for number in range(7)]
        library.index([
            feed(site, *(item(link, forged, title="Captain guilty: bridge of Aldport closed", link=link, date=date)
                         for link, date in zip(links, dates, strict=True)))
        ])  # fmt: skip

    for step in (forge, publish) if first == "stranger" else (publish, forge):
        step()
    moment = datetime(2024, 6, 18, 12, tzinfo=UTC)
    (hit,) = library.search(QUESTION, as_of=moment).hits
    assert hit.article.origin == (None if original == "owner's" else name(paper))
    assert "not guilty" in hit.passage.text
    assert [one.origin for one in hit.also_in] == [name(site)] * 7
    assert library.search(QUESTION, as_of=moment, fold=False).hits[0].article.origin == name(site)
    (shown, *_) = library.search(QUESTION, as_of=moment, sources=["cnn.example"]).hits
    assert shown.article.origin == (None if original == "owner's" else name(site))
    # A quote is told to be of the original, whatever earlier date a copy gives itself.
    early = item("urn:early", BRIDGE, title="Bridge closed", link="https://cnn.example/e", date="1 Jan 2001 09:00 GMT")
    library.index([feed(site, early)])
    assert library.verify_quote(LINES[0]).article == hit.article


DAY = datetime(2024, 6, 18, tzinfo=UTC)
VOTES = "\n".join(
    f"The votes in {place} were counted twice, and the result was the same both times, officials of the {topic} said."
    for place, topic in zip(("Lima", "Oslo", "Kyiv", "Bonn", "Rome", "Riga", "Bern"), TOPICS, strict=True)
)
BOTH = f"{BRIDGE}\n{VOTES}"


def test_a_strangers_text_made_of_two_stories_makes_no_single_one_of_them() -> None:
    one, two = ComparedText("Bridge closed", BRIDGE, "bbc", DAY), ComparedText("Votes counted", VOTES, "bbc", DAY)
    both = ComparedText("Bridge closed and votes counted", BOTH, "agg", datetime(2001, 1, 1, tzinfo=UTC))
    assert sorted(map(sorted, split_clusters([one, two, both]))) == [[0, 1, 2]]  # by the owner's own hand
    foreign = replace(both, origin="agg.example")
    for order in itertools.permutations((one, two, foreign)):
        groups = [{order[place] for place in part} for part in split_clusters(order)]
        assert not any({one, two} <= group for group in groups)


@pytest.mark.parametrize("order", [*itertools.permutations(("bridge", "votes", "both"))], ids=" ".join)
def test_two_stories_stay_two_in_whatever_order_they_and_a_strangers_text_of_both_came(
    library: Library, site: Site, order: tuple[str, ...]
) -> None:
    own = {
        topic: RawArticle(topic, title, text.replace("\n", "\n\n"), source="bbc", published=DAY)
        for topic, title, text in (("bridge", "Bridge closed", BRIDGE), ("votes", "Votes counted", VOTES))
    }
    for which in order:
        if which == "both":
            library.index([feed(site, item("urn:1", BOTH, title="Bridge and votes", date="1 Jan 2001 09:00 GMT"))])
        else:
            library.add([own[which]])
    rows = {entry.key: entry.row for entry in entries(library)}
    assert library.catalogue.near_duplicates.cluster_of(rows["bridge"]) != library.catalogue.near_duplicates.cluster_of(
        rows["votes"]
    )


# ---------------------------------------------------------------------- articles of feeds under a plain id


def under_plain_id(library: Library, origin: str, text: str) -> None:
    """Record an article of a feed under the id of its key alone, as before searchsvc 0.1.0."""
    library.add([RawArticle(URL, "River", text, url=URL)])
    with sqlite3.connect(library.catalogue.path) as db:
        db.execute("UPDATE articles SET origin = ?, checksum = NULL", (origin,))
    db.close()


def test_an_article_of_a_feed_makes_room_for_that_of_the_owner(library: Library, tmp_path: Path) -> None:
    under_plain_id(library, "agg.example", PAPERS)
    file = tmp_path / "news" / "archive.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps({"id": URL, "title": "River", "text": OWNERS}))
    report = library.index([file.parent])
    assert (report.added, report.changed) == (1, 0)
    assert {entry.id: (entry.origin, entry.text, entry.version) for entry in entries(library)} == {
        article_id(URL): (None, OWNERS, 1),
        article_id(URL, "agg.example"): ("agg.example", PAPERS, 1),
    }
    assert library.verify().problems == ()


def test_a_feed_goes_on_with_its_articles_under_their_plain_ids(
    library: Library, site: Site, words: Any, tmp_path: Path
) -> None:
    address = feed(site, item(URL, STRANGERS))
    under_plain_id(library, name(site), PAPERS)
    report = library.index([address])
    assert (report.added, report.changed) == (0, 1)
    (entry,) = entries(library)
    assert (entry.id, entry.origin, entry.text) == (article_id(URL), name(site), STRANGERS)

    # While it is read anew, another process gives the plain id to an article of the owner's.
    feed(site, item(URL, f"{STRANGERS} Again."))
    plain = words.passages

    def meanwhile(texts: list[str]) -> Any:
        words.passages = plain
        Library(Settings(index=tmp_path / "index")).add([RawArticle(URL, "River", OWNERS)])
        return plain(texts)

    words.passages = meanwhile
    report = library.index([address])
    assert words.passages == plain
    assert (report.added, report.changed) == (0, 1)
    assert {entry.id: (entry.origin, entry.text) for entry in entries(library)} == {
        article_id(URL): (None, OWNERS),
        article_id(URL, name(site)): (name(site), f"{STRANGERS} Again."),
    }
    assert Catalogue(library.catalogue.path).check() == []
