"""Junk: blocks that recur across articles of one source are counted, and passages are cut without them."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.ingest import resplit as recutting
from searchsvc.library import Library
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle
from searchsvc.text.boilerplate import blocks_in, is_boilerplate, number_of, without_boilerplate
from searchsvc.text.cleaning import Cleaned

PLEA = "Sign up for our free newsletter and never miss anything again."
TOPICS = ("harbour", "glacier", "orchestra", "vaccine", "football", "parliament", "satellite", "orchard", "railway")
BACKGROUND = "The harbour strike began in March after talks about wages had failed."


def story(topic: str, *more: str, source: str | None = "bbc", first: bool = False) -> RawArticle:
    """An article of its own about a topic, with blocks that others may have too."""
    own = (f"Something unheard of took place at the {topic} on Monday.", f"Nobody near the {topic} had foreseen it.")
    blocks = (*more, *own) if first else (*own, *more)
    return RawArticle(
        topic if source == "bbc" else f"{source} {topic}", f"News of the {topic}", "\n\n".join(blocks), source=source
    )


def passages(library: Library) -> dict[str, list[str]]:
    """Return the texts of all passages in force, by their article's key."""
    catalogue, space = library.catalogue, library.catalogue.spaces.get().row
    entries = [catalogue.articles.get(ident) for ident in catalogue_ids(catalogue)]
    return {
        entry.key: [
            entry.text[one.passage.start : one.passage.end] for one in catalogue.passages.of_article(entry.row, space)
        ]
        for entry in entries
        if entry is not None
    }


def catalogue_ids(catalogue: Catalogue) -> list[str]:
    added, _ = catalogue.changes.between(0, catalogue.changes.last())
    return sorted(entry.id for entry in catalogue.articles.by_row(added).values())


def with_plea(library: Library) -> set[str]:
    return {key for key, texts in passages(library).items() if any(PLEA in text for text in texts)}


# ---------------------------------------------------------------------- one text


def test_a_block_is_the_same_whatever_its_case_digits_punctuation_and_addresses() -> None:
    once = number_of("bbc", "Updated May 7, 2026, 7:54 p.m. ET – see https://a.example/1")
    assert once == number_of("bbc", "UPDATED May 12, 2025, 11:01 P.M.  ET; see https://b.example/2?c=d")
    assert once != number_of("bbc", "Updated June 7, 2026, 7:54 p.m. ET")
    assert once != number_of("cnn", "Updated May 7, 2026, 7:54 p.m. ET – see https://a.example/1")
    assert number_of(None, "你好世界") == number_of("", "你好,世界")


def test_what_an_article_says_elsewhere_is_told_and_the_title_counts() -> None:
    opening = "The strike at the harbour went on."
    text = f"{opening}\n\n{PLEA}\n\n{BACKGROUND}"
    first, plea, background = (number_of("bbc", block) for block in (opening, PLEA, BACKGROUND))
    assert {one.number: one.is_supported for one in blocks_in("bbc", "Wages: talks failed", text)} == {
        first: False,  # strike and harbour, of three, are half of its words, but may be there by chance
        plea: False,
        background: True,  # harbour, strike, talks, wages and failed, of nine
    }
    assert {one.number: one.is_supported for one in blocks_in("bbc", "Port", text)}[background] is False


def test_a_context_stands_for_the_two_longest_other_blocks() -> None:
    short, long, longer, longest = (f"This paragraph has {number * 'many '}words." for number in (2, 4, 6, 8))
    found = {one.number: one.context for one in blocks_in("bbc", "", "\n\n".join((short, long, longer, longest)))}
    contexts = [found[number_of("bbc", block)] for block in (short, long, longer, longest)]
    assert contexts[0] == contexts[1]
    assert len({*contexts}) == 3
    edited = {one.number: one.context for one in blocks_in("bbc", "Retitled", f"{longest}\n\n{long}\n\n{longer}")}
    assert edited == {number: found[number] for number in edited}


def test_headings_and_long_paragraphs_are_not_counted() -> None:
    assert blocks_in("bbc", "", "Twenty-four characters..\n\n" + 100 * "abcd " + "f") == []
    assert [one.number for one in blocks_in("bbc", "", "Twenty-five characters...")] == [
        number_of("bbc", "Twenty-five characters...")
    ]


@pytest.mark.parametrize(
    ("articles", "told", "verdict"),
    [(5, 0, False), (6, 0, True), (6, 2, True), (6, 3, False), (60, 29, True), (60, 30, False)],
)
def test_junk_is_what_six_articles_hold_that_mostly_do_not_tell_of_it(articles: int, told: int, verdict: bool) -> None:
    assert is_boilerplate(articles, told) is verdict


def test_stretches_are_split_around_junk_and_offsets_stay_true() -> None:
    text = f"First paragraph.\n\n{PLEA}\n\nSecond paragraph.\n\nThird one.\n\nA lone line\n\nFourth one.\n\n{PLEA}"
    cut = [text.index(start) for start in ("First", "Second", "Fourth")]
    ends = [text.index(end) + len(end) for end in ("First paragraph.", "Third one.", "Fourth one.")]
    stretches = ((0, ends[1]), (cut[2], len(text)))
    found = without_boilerplate(Cleaned(text, stretches), "bbc", {number_of("bbc", PLEA)})
    assert found == Cleaned(text, tuple(zip(cut, ends, strict=True)))
    assert without_boilerplate(Cleaned(text, stretches), "cnn", {number_of("bbc", PLEA)}).stretches == stretches


def test_a_text_that_is_all_junk_is_kept() -> None:
    whole = Cleaned(PLEA, ((0, len(PLEA)),))
    assert without_boilerplate(whole, "bbc", {number_of("bbc", PLEA)}) == whole


# ---------------------------------------------------------------------- a library


def test_the_sixth_article_with_a_plea_takes_it_out_of_all_and_it_stays_in_their_texts(
    open_library: Callable[[], Library],
) -> None:
    library = open_library()
    for topic in TOPICS[:5]:
        library.add([story(topic, PLEA)])
    assert with_plea(library) == {*TOPICS[:5]}  # a small library is safe
    report = library.add([story(TOPICS[5], PLEA)])
    assert (report.added, report.changed) == (1, 0)
    assert with_plea(library) == set()
    assert passages(library)["harbour"] == [
        "Something unheard of took place at the harbour on Monday.\n\nNobody near the harbour had foreseen it."
    ]
    hit = library.search("unheard of harbour").hits[0]
    assert hit.article.key == "harbour"
    assert hit.article.text.endswith(PLEA)
    assert hit.article.version == 1
    assert library.verify().problems == ()


@pytest.mark.usefixtures("words")
def test_passages_are_the_same_in_whatever_order_the_articles_came(tmp_path: Path) -> None:
    random_ = random.Random(5)
    articles = [story(topic, PLEA, first=number % 2 == 0) for number, topic in enumerate(TOPICS)]
    articles += [story(topic, PLEA, BACKGROUND, source="cnn") for topic in TOPICS[:6]]
    articles += [story(topic, source="sky") for topic in TOPICS]
    found = []
    for number in range(3):
        library = Library(Settings(index=tmp_path / str(number)))
        random_.shuffle(articles)
        for at in range(0, len(articles), 5):
            library.add(articles[at : at + 5])
        found.append(passages(library))
    assert found[0] == found[1] == found[2]
    assert not any(PLEA in text for texts in found[0].values() for text in texts)


def test_sources_do_not_mix_and_articles_without_one_count_as_those_of_one(open_library: Callable[[], Library]) -> None:
    library = open_library()
    library.add([story(topic, PLEA, source=source) for source in ("bbc", "cnn") for topic in TOPICS[:5]])
    assert len(with_plea(library)) == 10
    library.add([story(topic, PLEA, source=None) for topic in TOPICS[:6]])
    assert with_plea(library) == {*TOPICS[:5]} | {f"cnn {topic}" for topic in TOPICS[:5]}


def test_copies_of_one_article_count_once(open_library: Callable[[], Library]) -> None:
    library = open_library()
    one = story("harbour", PLEA)
    library.add([RawArticle(f"{number}", f"Title {number}", one.text, source="bbc") for number in range(9)])
    assert with_plea(library) == {str(number) for number in range(9)}


def test_a_background_paragraph_stays(open_library: Callable[[], Library]) -> None:
    library = open_library()
    facts = ("wages had fallen", "talks had failed twice", "the strike goes on", "it began in spring")
    library.add(
        [
            RawArticle(str(number), f"Harbour {number}", f"{topic} or not, {facts[number % 4]} at the harbour after the"
                    f" talks about wages, while the strike went on.\n\n{BACKGROUND}", source="bbc")
            for number, topic in enumerate(TOPICS)
        ]
    )  # fmt: skip
    assert all(BACKGROUND in texts[-1] for texts in passages(library).values())


def test_what_recurs_no_longer_is_in_passages_again(open_library: Callable[[], Library]) -> None:
    library = open_library()
    library.add([story(topic, PLEA) for topic in TOPICS[:6]])
    assert with_plea(library) == set()
    library.add([story(TOPICS[0])])  # without it now
    assert with_plea(library) == {*TOPICS[1:6]}
    library.add([story(TOPICS[0], PLEA)])
    assert with_plea(library) == set()
    library.remove([TOPICS[0], TOPICS[1]])
    assert with_plea(library) == {*TOPICS[2:6]}
    assert library.verify().problems == ()


def test_only_passages_that_changed_are_embedded(open_library: Callable[[], Library], words: Any) -> None:
    library = open_library()
    library.add([story(topic, PLEA) for topic in TOPICS[:5]])
    words.embedded.clear()
    report = library.add([story(TOPICS[5], PLEA), story(TOPICS[6])])
    own = [f"News of the {topic}\nSomething unheard of took place at the {topic} on Monday.\n\n"
           f"Nobody near the {topic} had foreseen it." for topic in TOPICS]  # fmt: skip
    # Nobody could know when these two were cut that there would be a sixth.
    assert words.embedded == [f"{own[5]}\n\n{PLEA}", own[6], *own[:6]]
    assert report.embedded == 8
    words.embedded.clear()
    library.add([story(TOPICS[7], PLEA)])
    assert words.embedded == [own[7]]


def test_a_recut_that_was_interrupted_is_done_by_the_next_run(
    open_library: Callable[[], Library], words: Any, tmp_path: Path
) -> None:
    library = open_library()
    library.add([story(topic, PLEA) for topic in TOPICS[:5]])
    words.fails_at = words.calls + 2
    with pytest.raises(KeyboardInterrupt):
        library.add([story(TOPICS[5], PLEA)])
    again = open_library()
    assert with_plea(again) == {*TOPICS[:6]}
    (tmp_path / "none").mkdir()
    again.index([tmp_path / "none"])
    assert with_plea(again) == set()
    assert again.catalogue.boilerplate.to_resplit(1) == []


def test_a_catalogue_of_an_earlier_version_is_counted_by_the_next_run(
    open_library: Callable[[], Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = open_library()
    library.add([story(topic, PLEA) for topic in TOPICS[:5]])
    with library.catalogue.writing():
        # As the migration leaves them.
        for statement in ("DELETE FROM blocks", "INSERT INTO to_count SELECT row FROM articles"):
            library.catalogue._db.execute(statement)
    monkeypatch.setattr(recutting, "AT_ONCE", 2)
    library.add([story(TOPICS[5], PLEA)])
    assert with_plea(library) == set()
    assert library.catalogue.boilerplate.to_count(1) == []


def test_a_move_cuts_without_junk_too(open_library: Callable[[], Library], tmp_path: Path) -> None:
    library = open_library()
    library.add([story(topic, PLEA) for topic in TOPICS[:6]])
    moved = Library(Settings(index=tmp_path / "index", passage_tokens=100))
    moved.rebuild()
    assert moved.catalogue.spaces.get().passage_tokens == 100
    assert with_plea(moved) == set()
    assert {*passages(moved)} == {*TOPICS[:6]}


@pytest.mark.parametrize("meanwhile", ["another comes", "two go"])
def test_another_process_may_write_and_recut_meanwhile(
    open_library: Callable[[], Library], words: Any, meanwhile: str
) -> None:
    library, plain = open_library(), words.passages
    library.add([story(topic, PLEA) for topic in TOPICS[:5]])

    def passages_meanwhile(texts: Sequence[str]) -> Any:
        if library.catalogue.boilerplate.to_resplit(1):
            words.passages = plain
            if meanwhile == "two go":
                open_library().remove(TOPICS[:2])
            else:
                open_library().add([story(TOPICS[6], PLEA)])
        return plain(texts)

    words.passages = passages_meanwhile
    library.add([story(TOPICS[5], PLEA)])
    assert words.passages == plain
    assert with_plea(library) == ({*TOPICS[2:6]} if meanwhile == "two go" else set())
    assert library.catalogue.boilerplate.to_resplit(1) == []
    assert library.verify().problems == ()


def test_what_becomes_junk_during_a_move_is_left_out_of_the_new_space_too(
    open_library: Callable[[], Library], words: Any, tmp_path: Path
) -> None:
    library, plain = open_library(), words.passages
    long = " ".join(f"The river rose by {n} metres in the night." for n in range(30))  # which is cut otherwise then
    library.add([*(story(topic, PLEA) for topic in TOPICS[:5]), RawArticle("long", "Flood", long)])

    def passages_meanwhile(texts: Sequence[str]) -> Any:
        words.passages = plain
        library.add([story(TOPICS[5], PLEA)])
        return plain(texts)

    words.passages = passages_meanwhile
    moved = Library(Settings(index=tmp_path / "index", passage_tokens=100))
    moved.rebuild()
    assert words.passages == plain
    assert moved.catalogue.spaces.get().passage_tokens == 100
    assert {*passages(moved)} == {*TOPICS[:6], "long"}
    assert with_plea(moved) == set()


def test_the_catalogue_says_what_recurs_and_what_of_it_is_junk(open_library: Callable[[], Library]) -> None:
    library = open_library()
    library.add([story(topic, PLEA, *([BACKGROUND] if topic in TOPICS[:3] else [])) for topic in TOPICS])
    found = [(one.number, one.articles, one.is_boilerplate) for one in library.catalogue.boilerplate.recurring(2)]
    assert found == [(number_of("bbc", PLEA), 9, True), (number_of("bbc", BACKGROUND), 3, False)]


def test_a_block_that_speaks_of_what_the_title_names_is_told_and_the_sources_own_name_says_nothing():
    background = "Harold Vint denies setting fire to the Corvane warehouse, in which two watchmen died."
    for title, told in (("Vint trial: petrol", True), ("Two watchmen remembered", True), ("Harold Daily: rain", False)):
        (block,) = blocks_in("Harold Daily", title, background)
        assert (block.number, block.is_supported) == (number_of("Harold Daily", background), told)
