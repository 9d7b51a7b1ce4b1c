"""Words: what two texts must share to match."""

from searchsvc.text.analysis import content_terms, locate_terms, stems, surface_tokens


def test_case_accents_and_endings_do_not_matter():
    assert stems("Exports") == stems("export") == ("export",)
    assert stems("Café") == ("cafe",)
    assert stems("x" * 41) == ()


def test_words_are_placed_by_code_points():
    text = "🙂 Köln's café"
    assert [(word, text[a:b]) for word, a, b in locate_terms(text, {"koln", "cafe"})] == [
        ("koln", "Köln"),
        ("cafe", "café"),
    ]


def test_a_question_tells_by_its_content_words_each_once():
    assert content_terms("What does Russia want from North Korea, and what will Russia get?") == [
        "russia", "want", "north", "korea", "get",
    ]  # fmt: skip


def test_a_question_of_stop_words_alone_tells_by_all_of_them():
    assert content_terms("who is it") == ["who", "is", "it"]
    assert content_terms("?!") == []


def test_words_as_they_are_spelt_keep_their_endings_and_their_order():
    assert surface_tokens("Élysée’s attacks: U.S.-led, 5-4") == ["elysee", "s", "attacks", "u", "s", "led", "5", "4"]
    assert surface_tokens("e\u0301tat") == surface_tokens("état") == ["etat"]
    assert surface_tokens("x" * 60) == ["x" * 60]
    assert surface_tokens("?!") == []
