"""Words: what two texts must share to match."""

from searchsvc.words import placed, spelt, stems, telling


def test_case_accents_and_endings_do_not_matter():
    assert stems("Exports") == stems("export") == ("export",)
    assert stems("Café") == ("cafe",)
    assert stems("x" * 41) == ()


def test_words_are_placed_by_code_points():
    text = "🙂 Köln's café"
    assert [(word, text[a:b]) for word, a, b in placed(text, {"koln", "cafe"})] == [("koln", "Köln"), ("cafe", "café")]


def test_a_question_tells_by_its_content_words_each_once():
    assert telling("What does Russia want from North Korea, and what will Russia get?") == [
        "russia", "want", "north", "korea", "get",
    ]  # fmt: skip


def test_a_question_of_stop_words_alone_tells_by_all_of_them():
    assert telling("who is it") == ["who", "is", "it"]
    assert telling("?!") == []


def test_words_as_they_are_spelt_keep_their_endings_and_their_order():
    assert spelt("Élysée’s attacks: U.S.-led, 5-4") == ["elysee", "s", "attacks", "u", "s", "led", "5", "4"]
    assert spelt("e\u0301tat") == spelt("état") == ["etat"]
    assert spelt("x" * 60) == ["x" * 60]
    assert spelt("?!") == []
