"""Stories: what is a copy and what is not, pair by pair; then through a library, in every order."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.catalogue.connection import connect
from searchsvc.interfaces.cli.commands import run
from searchsvc.library import Library
from searchsvc.text.article import RawArticle, article_id
from searchsvc.text.near_duplicates import ComparedText, Likeness, bands, likeness, split_clusters

DAY = datetime(2024, 6, 18, 9, tzinfo=UTC)
LATER = DAY + timedelta(hours=5)
TITLE = "Harbour bridge of Aldport closed after ferry strikes pier"
PARAGRAPHS = (
    "The harbour bridge of Aldport was closed to all traffic on Monday after a ferry struck its northern pier in thick "
    "fog. Nobody on the bridge was hurt, the harbour master said, and the ferry reached its berth by its own power.",
    "Eleven passengers were treated for bruises. The ferry, the Queen Maud, was carrying 240 people and forty cars "
    "from the islands when its radar failed shortly before dawn.",
    "Divers went down in the afternoon to look at the foundations. Their first report says that the pier has moved by "
    "less than a hand's breadth, and that the deck above it has a crack of two metres.",
    "The bridge carries about 18,000 cars a day. Until it is open again, lorries are sent through the old tunnel, "
    "where the city has lifted the ban on heavy vehicles for the time being.",
    "It is the second accident at the pier within ten years. In 2016 a barge loaded with gravel drifted against it "
    "during a storm, and the repairs took seven months and cost nine million crowns.",
    "The operator of the ferry said that it was helping the inquiry. The captain, who has sailed this route since "
    "1998, was questioned on Tuesday and is not on duty for now.",
    "Fishermen complain that their boats cannot leave the inner harbour while cranes stand in the channel. The city "
    "promised to open it for an hour each morning.",
)
FACTS = (
    "The transport ministry opened a criminal inquiry on Wednesday. Prosecutors said that the radar had been reported "
    "as faulty twice in the week before, and that no engineer had come to look at it.",
    "A tug brought in from Norhaven will lift the damaged fender next week, the port authority said, provided that the "
    "wind stays below force five.",
)


def said(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


WHOLE = ComparedText(TITLE, said(*PARAGRAPHS), "wire.example", DAY)


def are_copies(one: ComparedText, other: ComparedText) -> bool:
    return likeness(one, other) is Likeness.COPIES


def copy(*paragraphs: str, **other: object) -> ComparedText:
    facts: dict[str, object] = {"source": "herald.example", "published": LATER}
    return replace(WHOLE, text=said(*paragraphs), **(facts | other))


REWORDED = (
    WHOLE.text.replace("thick fog", "dense fog")
    .replace("Nobody on the bridge", "No one on the bridge")
    .replace("about 18,000", "around 18,000")
    .replace("loaded with", "full of")
)
COPIES = {
    "the same": copy(*PARAGRAPHS),
    "re-titled": copy(*PARAGRAPHS, title="Ferry hits bridge"),
    "undated": copy(*PARAGRAPHS, published=None, source=None),
    "dateline": copy(f"ALDPORT, June 18 (Reuters) — {PARAGRAPHS[0]}", *PARAGRAPHS[1:]),
    "another dateline": copy(f"Norhaven, 19 June (dpa) - {PARAGRAPHS[0]}", *PARAGRAPHS[1:]),
    "agency line": copy(*PARAGRAPHS, "Reporting by Ann Smith in Aldport; editing by John Miller and Mary Major"),
    "updated": copy("Updated at 14:05 GMT", *PARAGRAPHS),
    "wording": copy(REWORDED),
    "typography": copy(WHOLE.text.upper().replace("'", "’").replace("18,000", "18 000".replace(" ", "."))),
    "one block": copy(" ".join(PARAGRAPHS)),
    "junk": copy(PARAGRAPHS[0], "Sign up for our newsletter and never miss a story.", *PARAGRAPHS[1:], "Advertisement"),
    "a paragraph dropped": copy(*PARAGRAPHS[:4], *PARAGRAPHS[5:]),
    "three paragraphs dropped": copy(PARAGRAPHS[0], *PARAGRAPHS[2:4], *PARAGRAPHS[6:]),
    "cut": copy(*PARAGRAPHS[:3]),
    "cut, dateline, agency line": copy(f"ALDPORT (AP) — {PARAGRAPHS[0]}", *PARAGRAPHS[1:3], "(AP)"),
    "cut at the same moment": copy(*PARAGRAPHS[:3], published=DAY),
    "cut, known by its day": copy(*PARAGRAPHS[:3], published=DAY.replace(hour=0)),
    "cut, undated": copy(*PARAGRAPHS[:3], published=None),
    "shortened by its own source": copy(*PARAGRAPHS[:3], source="www.Wire.example"),
}
OTHERS = {
    "nothing in common": copy("The votes in Sweden were counted twice, and the result was the same both times."),
    "an update": copy(*FACTS, *PARAGRAPHS, source="wire.example"),
    "an update by one paragraph": copy(PARAGRAPHS[0], FACTS[1], *PARAGRAPHS[1:], source="wire.example"),
    "an update on the same day": copy(FACTS[0], *PARAGRAPHS, source="wire.example", published=DAY.replace(hour=0)),
    "an undated update": copy(FACTS[0], *PARAGRAPHS, source="wire.example", published=None),
    "an update elsewhere": copy(*PARAGRAPHS, *FACTS),
    "facts for other facts": copy(*PARAGRAPHS[:5], *FACTS),
    "a corrected toll": copy(WHOLE.text.replace("240 people", "260 people")),
    "background alone": copy(*FACTS, PARAGRAPHS[4], "The council will meet on Friday to talk about tolls and taxes."),
    "empty": copy(),
}


@pytest.mark.parametrize("name", COPIES)
def test_what_publishers_do_to_a_story_makes_copies_of_it(name: str) -> None:
    assert are_copies(WHOLE, COPIES[name])
    assert are_copies(COPIES[name], WHOLE)
    assert set(bands(WHOLE)) & set(bands(COPIES[name]))


@pytest.mark.parametrize("name", OTHERS)
def test_what_says_something_else_is_no_copy(name: str) -> None:
    assert not are_copies(WHOLE, OTHERS[name])
    assert not are_copies(OTHERS[name], WHOLE)


def test_a_text_that_came_earlier_and_says_more_was_cut_and_one_that_came_later_adds() -> None:
    short = copy(*PARAGRAPHS[:5])
    assert are_copies(replace(WHOLE, published=LATER - timedelta(minutes=1)), short)
    assert not are_copies(replace(WHOLE, published=LATER + timedelta(minutes=1)), short)


def test_a_cut_copy_of_two_versions_goes_with_the_one_that_it_resembles_more() -> None:
    update, cut, undated = (
        OTHERS["an update"],
        copy(*PARAGRAPHS[:5], published=DAY + timedelta(days=1)),
        COPIES["undated"],
    )
    assert likeness(WHOLE, update) is Likeness.VERSIONS
    assert are_copies(WHOLE, cut)
    assert are_copies(update, cut)
    given = [update, cut, WHOLE, undated]
    for order in itertools.permutations(range(4)):
        parts = split_clusters([given[place] for place in order])
        assert {frozenset(order[place] for place in part) for part in parts} == {frozenset({0}), frozenset({1, 2, 3})}


def test_a_corrected_figure_makes_another_version() -> None:
    assert likeness(WHOLE, OTHERS["a corrected toll"]) is Likeness.VERSIONS
    assert likeness(WHOLE, OTHERS["facts for other facts"]) is Likeness.APART


def test_a_form_that_is_filled_in_again_is_no_copy() -> None:
    form = (
        "The winning numbers in {} evening's drawing were {}, {} and {}. The jackpot stands at {} million crowns. "
        "Players match all numbers to win. Tickets are sold at any kiosk until half an hour before the drawing."
    )
    one, two = form.format("Monday", 4, 8, 15, 3), form.format("Tuesday", 16, 23, 42, 4)
    assert not are_copies(
        ComparedText("Lottery", one, "wire.example", DAY), ComparedText("Lottery", two, "wire.example", LATER)
    )


def test_what_a_site_says_instead_of_its_articles_makes_no_story_of_them() -> None:
    text = "How relevant is this ad to you? The video player was slow to load. The ad froze or did not finish loading."
    oreo, truck = (
        ComparedText(title, text, "cnn.example", DAY) for title in ("Oreo turns 110", "Pickup trucks recalled")
    )
    assert not are_copies(oreo, truck)
    assert are_copies(oreo, replace(oreo, published=LATER))


def test_a_few_words_are_the_same_story_under_the_same_title_alone() -> None:
    markets = ComparedText("Markets in Oslo", "Prices rose.", "wire.example", DAY)
    assert not are_copies(markets, replace(markets, title="Markets in Rome", source="post.example"))
    assert are_copies(markets, replace(markets, source="post.example"))
    brief = "The president of {} met the foreign minister in the morning and left the city before noon, officials said."
    oslo, rome = (ComparedText("Visit", brief.format(name), "wire.example", DAY) for name in ("Iceland", "Albania"))
    assert not are_copies(oslo, rome)


def test_texts_without_spaces_between_words_are_compared_by_their_characters() -> None:
    text = "周一大雾中一艘渡轮撞上阿尔德港大桥北桥墩后大桥对所有车辆关闭。港务局长说桥上无人受伤渡轮自行靠泊。"
    assert are_copies(ComparedText("", text), ComparedText("", text.replace("周一", "周二", 1)))
    assert not are_copies(
        ComparedText("", text), ComparedText("", text[:20] + "另一则完全不同的消息说选举结果将在周五公布并由法院审查。")
    )


def test_bands_are_the_same_in_every_process() -> None:
    code = "import sys; from searchsvc.text.near_duplicates import *; print(bands(ComparedText('', sys.argv[1])))"
    ran = subprocess.run([sys.executable, "-c", code, WHOLE.text], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(bands(WHOLE))
    assert bands(ComparedText("", "...")) == []
    assert len(bands(ComparedText("", "One"))) == len(set(bands(WHOLE))) == 28


# Through a library

Open = Callable[[], Library]
QUESTION = "why was the harbour bridge of Aldport closed"


def article(key: str, *paragraphs: str, **other: object) -> RawArticle:
    facts: dict[str, object] = {"title": TITLE, "source": f"{key}.example", "published": DAY}
    return RawArticle(key, text=said(*(paragraphs or PARAGRAPHS)), **(facts | other))  # type: ignore[arg-type]


WIRE = article("wire")
HERALD = article(
    "herald", f"ALDPORT (AP) — {PARAGRAPHS[0]}", *PARAGRAPHS[1:], published=LATER, title="Ferry hits bridge"
)
POST = article("post", *PARAGRAPHS[:4], published=DAY + timedelta(days=2))
UNDATED = article("undated", published=None)
UPDATE = article("update", *FACTS, *PARAGRAPHS, source="wire.example", published=LATER)
OTHER = article(
    "other", "The votes in Sweden were counted twice, and the result was the same.", title="Election in Sweden"
)
EVERYTHING = (WIRE, HERALD, POST, UNDATED, UPDATE, OTHER)


def told(library: Library, question: str = QUESTION, **wishes: object) -> list[tuple[str, list[str]]]:
    """Return the keys of the hits, each with those of its other copies."""
    hits = library.search(question, **wishes).hits  # type: ignore[arg-type]
    return [(hit.article.key, [one.key for one in hit.also_in]) for hit in hits]


def stories(library: Library) -> list[set[str]]:
    """Return the keys of the articles that each hit stands for."""
    return sorted(({key, *others} for key, others in told(library)), key=sorted)


@pytest.mark.parametrize("order", list(itertools.permutations((WIRE, HERALD, POST)))[::2], ids=lambda _: "order")
def test_copies_are_one_hit_in_whatever_order_they_come(open_library: Open, order: tuple[RawArticle, ...]) -> None:
    library = open_library()
    for one in (UPDATE, *order, OTHER, UNDATED):
        library.add([one])
    assert stories(library) == [{"herald", "post", "undated", "wire"}, {"other"}, {"update"}]
    at_once = open_library()
    at_once.add(EVERYTHING)
    assert stories(at_once) == stories(library)


def test_other_copies_are_listed_the_earliest_first_and_undated_ones_last(open_library: Open) -> None:
    library = open_library()
    library.add(EVERYTHING)
    hits = {key: others for key, others in told(library) if others}
    (shown,) = hits
    assert hits[shown] == [key for key in ("wire", "herald", "post", "undated") if key != shown]


def test_copies_do_not_use_up_the_limit_and_show_the_passages_of_one(open_library: Open) -> None:
    library = open_library()
    library.add(EVERYTHING)
    assert len(told(library, limit=3)) == 3
    shown = [key for key, _ in told(library, limit=1, per_article=3)]
    assert len(shown) > 1
    assert len(set(shown)) == 1


def test_unfolded_every_copy_is_a_hit_of_its_own(open_library: Open) -> None:
    library = open_library()
    library.add(EVERYTHING)
    assert sorted(told(library, fold=False)) == [
        (key, []) for key in ("herald", "other", "post", "undated", "update", "wire")
    ]


def test_a_hit_names_no_copy_that_the_question_does_not_let_through(open_library: Open) -> None:
    library = open_library()
    library.add([WIRE, HERALD, POST])
    assert told(library, as_of=DAY) == [("wire", [])]
    assert told(library, sources=["post.example", "herald.example"]) == [("post", ["herald"])]
    assert told(library, after=DAY + timedelta(days=1)) == [("post", [])]
    assert told(library, before=DAY) == [("wire", [])]
    assert told(library, languages=["de"]) == []


def test_a_story_goes_on_without_the_copy_that_came_first(open_library: Open) -> None:
    library = open_library()
    library.add([WIRE, HERALD, POST])
    library.remove(["wire"])
    assert stories(library) == [{"herald", "post"}]
    library.remove(["herald"])
    assert stories(library) == [{"post"}]
    library.add([WIRE])
    assert stories(library) == [{"post", "wire"}]
    assert library.verify().problems == ()


def test_a_copy_that_becomes_another_text_leaves_its_story(open_library: Open) -> None:
    library = open_library()
    library.add([WIRE, HERALD, POST])
    library.add([replace(HERALD, title=OTHER.title, text=OTHER.text)])
    assert stories(library) == [{"herald"}, {"post", "wire"}]
    library.add([HERALD])
    assert stories(library) == [{"herald", "post", "wire"}]


def test_what_joined_two_texts_takes_the_story_along(open_library: Open) -> None:
    """Two cuts of one text that have nothing in common are copies of the whole, and not of each other."""
    library = open_library()
    library.add([article("first", *PARAGRAPHS[:4]), article("second", PARAGRAPHS[0], *PARAGRAPHS[4:]), WIRE])
    assert stories(library) == [{"first", "second", "wire"}]
    library.remove(["wire"])
    assert stories(library) == [{"first"}, {"second"}]


def test_an_interrupted_or_older_index_is_folded_by_the_next_run(open_library: Open) -> None:
    library = open_library()
    library.add([WIRE, HERALD, POST])
    with library.catalogue.writing() as writer:
        writer.near_duplicates.compare_all("by an older version")
    assert stories(library) == [{"herald"}, {"post"}, {"wire"}]
    library.index([])
    assert stories(library) == [{"herald", "post", "wire"}]


def test_a_backup_brings_its_stories_along(open_library: Open) -> None:
    library = open_library()
    library.add([WIRE, HERALD])
    file = library.folder.parent / "news.backup"
    library.backup(file)
    library.remove(["wire"])
    library.restore(file)
    assert stories(library) == [{"herald", "wire"}]


def test_people_are_told_where_else_a_story_stands(
    open_library: Open, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = open_library()
    library.add([WIRE, HERALD, replace(UNDATED, source=None)])
    monkeypatch.setenv("SEARCHSVC_INDEX", str(library.folder))
    monkeypatch.setenv("COLUMNS", "100")
    (shown,) = library.search(QUESTION).hits
    others = {
        "wire": "wire.example (18 June 2024)",
        "herald": "herald.example (18 June 2024)",
        "undated": TITLE,
    }
    del others[shown.article.key]
    assert run(["search", QUESTION]) == 0
    assert f"also in: {', '.join(others.values())}" in " ".join(capsys.readouterr().out.split())
    assert run(["search", "--no-fold", QUESTION]) == 0
    assert "also in" not in capsys.readouterr().out
    assert run(["--json", "search", QUESTION]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert [one["key"] for one in hit["also_in"]] == list(others)
    assert hit["also_in"][-1] == {
        "id": article_id("undated"), "key": "undated", "title": TITLE, "source": None, "url": None, "published": None,
        "origin": None,
    }  # fmt: skip


def test_nothing_is_kept_of_articles_that_are_gone(open_library: Open) -> None:
    library = open_library()
    library.add(EVERYTHING)
    library.remove([one.key for one in EVERYTHING])
    db = connect(Catalogue(library.catalogue.path).path)
    try:
        left = {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("bands", "clusters", "to_compare")
        }
    finally:
        db.close()
    assert left == {"bands": (0,), "clusters": (0,), "to_compare": (0,)}
