"""Readers: every format, what it holds to the letter, and what it says where it cannot be read."""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import pytest
import zstandard

from searchsvc.errors import Unreadable
from searchsvc.readers import READERS, from_record, read, suffix_of, walk
from searchsvc.readers.encoding import decode
from searchsvc.readers.feed import parse_feed
from searchsvc.readers.problems import named
from searchsvc.text.article import Problem, RawArticle

LIMIT = 1_000_000
JUNE_18 = datetime(2024, 6, 18, tzinfo=UTC)


def found(path: Path, data: str | bytes, limit: int = LIMIT) -> list[RawArticle | Problem]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read(path, "KEY", limit))


def article(path: Path, data: str | bytes) -> RawArticle:
    (only,) = found(path, data)
    assert isinstance(only, RawArticle)
    return only


def reasons(results: list[RawArticle | Problem]) -> list[str]:
    return [result.reason for result in results if isinstance(result, Problem)]


def keys(results: list[RawArticle | Problem]) -> list[str]:
    return [result.key for result in results if isinstance(result, RawArticle)]


# Encodings

NEWS = {
    "german": "Der Bundestag hat über die Erhöhung der Steuern beraten. „Wir müssen handeln“, sagte der Minister.",
    "french": "Le président a déclaré que la réforme serait présentée à l'Assemblée. Les élèves français sont très émus.",  # noqa: E501
    "swedish": "Regeringen meddelade att skatterna höjs nästa år. Även kommunerna får ansvar, säger han från Göteborg.",
    "english": "“We will not yield,” the mayor said — the city’s budget is short by £40 million. The café closed.",
    "russian": "Президент заявил во вторник, что переговоры продолжатся на следующей неделе, сообщает агентство.",
    "polish": "Premier ogłosił we wtorek, że rząd podniesie płacę minimalną. Związkowcy mówią, że to zbyt mało.",
    "czech": "Předseda vlády v úterý oznámil, že růst cen bude v příštím roce nižší. Opoziční poslanci kritizují návrh.",  # noqa: E501
    "japanese": "首相は火曜日の記者会見で、新しい経済対策を来月までにまとめる考えを示しました。",
    "chinese": "中国外交部发言人周二表示，双方将于下个月举行新一轮会谈。分析人士认为，这将有助于缓解紧张局势。",
}


@pytest.mark.parametrize(
    ("news", "encoding"),
    [
        ("german", "cp1252"),
        ("french", "cp1252"),
        ("french", "iso-8859-1"),
        ("swedish", "iso-8859-1"),
        ("english", "cp1252"),
        ("russian", "cp1251"),
        ("russian", "koi8-r"),
        ("polish", "cp1250"),
        ("polish", "iso-8859-2"),
        ("czech", "cp1250"),
        ("japanese", "shift_jis"),
        ("japanese", "euc_jp"),
        ("chinese", "gb18030"),
        ("chinese", "big5"),
        *[(news, wide) for news in ("german", "chinese") for wide in ("utf-8", "utf-8-sig", "utf-16", "utf-32")],
        *[(news, wide) for news in ("german", "chinese") for wide in ("utf-16-le", "utf-16-be", "utf-32-be")],
    ],
)
def test_a_news_paragraph_is_decoded_to_the_letter(news: str, encoding: str) -> None:
    text = (
        NEWS[news]
        if encoding != "big5"
        else "總統週二表示，政府將在下個月提出新的經濟方案。分析人士認為有助於緩解緊張局勢。"
    )
    text += "\n"
    assert decode(text.encode(encoding)) == text


def test_a_few_broken_bytes_do_not_turn_utf_8_into_something_else() -> None:
    data = (NEWS["russian"] * 3).encode()
    assert decode(data + b"\xff") == NEWS["russian"] * 3 + "\ufffd"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b" \r\n\t", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"\xff\xfe", "is empty"),
        (bytes(range(256)) * 20, "looks binary, not text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "looks binary, not text"),
        (b"some text\x00 and more", "looks binary, not text"),
        (b"\x00\x01\x02\xff" * 100, "looks binary, not text"),
        (bytes(range(1, 256)) * 20, "looks binary, not text"),
    ],
)
def test_what_is_not_text_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(data)
    assert caught.value.message == reason


# Plain text


def test_the_first_line_of_a_text_is_its_headline(tmp_path: Path) -> None:
    got = article(tmp_path / "a.txt", "\r\nMayor resigns\r\n\r\nShe left on Tuesday.\rNobody knew.\r\n")
    assert got == RawArticle(key="KEY", title="Mayor resigns", text="She left on Tuesday.\nNobody knew.")


def test_a_text_without_a_headline_keeps_all_of_its_text(tmp_path: Path) -> None:
    prose = "The mayor of the town left on Tuesday " + "after a long and bitter quarrel " * 10
    got = article(tmp_path / "a.text", prose)
    assert (got.title, got.text) == ("", prose.strip())
    one = article(tmp_path / "b.txt", "One line only.")
    assert (one.title, one.text) == ("", "One line only.")


def test_prose_with_hard_breaks_has_no_headline(tmp_path: Path) -> None:
    got = article(tmp_path / "a.txt", "The mayor of the town left\non Tuesday, it was said.")
    assert (got.title, got.text) == (
        "",
        "The mayor of the town left\non Tuesday, it was said.",
    )


# Markdown

MARKDOWN = """# Mayor *resigns*

She **left** on [Tuesday](https://example.org "t"), ![photo](p.png) by `train` &amp; <b>bus</b>.
Nobody knew.

## Reasons

- money
- time
  - little

3. third
4. fourth

> A quote
> in two lines.

```py
x = 1
```

| A | B |
|---|---|
| 1 | 2 |

<!-- hidden > not shown --><p>Raw &copy; text</p>
"""


def test_markdown_becomes_plain_paragraphs(tmp_path: Path) -> None:
    got = article(tmp_path / "a.md", MARKDOWN)
    assert got.title == "Mayor resigns"
    assert got.text.split("\n\n") == [
        "She left on Tuesday, by train & bus. Nobody knew.",
        "Reasons",
        "- money\n- time\n- little",
        "3. third\n4. fourth",
        "A quote in two lines.",
        "x = 1",
        "A | B\n1 | 2",
        "Raw © text",
    ]


def test_front_matter_is_read_as_a_record(tmp_path: Path) -> None:
    front = "---\ntitle: 1984\ndate: 2024-06-18\nauthor: [Ann, Bo]\nurl: https://www.example.org/x\nlang: en-GB\n---\n"
    assert article(tmp_path / "a.markdown", front + "\n# 1984\n\nBody.\n") == RawArticle(
        key="https://www.example.org/x",
        title="1984",
        text="Body.",
        url="https://www.example.org/x",
        source="example.org",
        author="Ann, Bo",
        published=JUNE_18,
        published_from="given",
        language="en",
    )


def test_broken_front_matter_costs_only_itself(tmp_path: Path) -> None:
    problem, got = found(tmp_path / "a.md", "---\ntitle: [a\n---\n# T\n\nBody.")
    assert problem == Problem(str(tmp_path / "a.md"), "the front matter is not valid YAML; left out", lost=False)
    assert isinstance(got, RawArticle)
    assert (got.title, got.text) == ("T", "Body.")


def test_rules_around_prose_are_not_front_matter(tmp_path: Path) -> None:
    got = article(tmp_path / "a.md", "---\n\nJust prose\n\n---\n\nMore prose\n")
    assert (got.title, got.text) == ("Just prose", "More prose")


def test_markdown_nested_without_end_is_read_or_refused(tmp_path: Path) -> None:
    assert reasons(found(tmp_path / "a.md", ">" * 20_000 + " deep")) == ["no text"]


# Web pages

PAGE = """<!DOCTYPE html><html lang="en-GB"><head>{meta}<title>Ministers agree on river plan | The Daily Post</title>
<meta property="og:title" content="Ministers agree on river plan">
<meta property="og:site_name" content="The Daily Post"><meta property="og:type" content="article">
<link rel="canonical" href="https://www.dailypost.example/world/river-plan">
<script type="application/ld+json">{{"@context":"https://schema.org","@type":"NewsArticle",
"headline":"Ministers agree on river plan","datePublished":"2024-06-18T09:30:00+02:00",
"author":{{"@type":"Person","name":"Jane Smith"}}}}</script></head>
<body><div id="cookie-banner"><p>We use cookies to improve your experience. Accept all cookies.</p></div>
<nav><ul><li><a href="/">Home</a></li><li><a href="/world">World</a></li></ul></nav>
<main><article><h1>Ministers agree on river plan</h1>
<p>Ministers from four countries agreed on Tuesday to clean the river Måne within ten years, ending a dispute.</p>
<p>The plan costs 4.2 billion euros, of which most will be paid by the <a href="/x">northern states</a>.</p>
<h2>What was decided</h2>
<ul><li>New sewage works in eleven towns</li><li>A ban on three pesticides</li></ul>
<blockquote><p>We have waited long enough for this day, and now the work begins.</p></blockquote>
<table><tr><th>Country</th><th>Share</th></tr><tr><td>North</td><td>2.1 billion</td></tr></table>
<p>The first works are to be opened next spring, and a joint office in the port city will watch over it.</p>
</article><aside class="related"><h3>Related articles</h3><ul><li><a href="/a">Floods hit valley</a></li></ul></aside>
</main><div id="comments"><p>Great news, I have been waiting for this for years! says reader Bob.</p></div>
<footer><p>Copyright 2011 The Daily Post. All rights reserved. Terms of use. Privacy policy.</p></footer></body></html>"""  # noqa: E501

PARAGRAPHS = [
    "Ministers from four countries agreed on Tuesday to clean the river Måne within ten years, ending a dispute.",
    "The plan costs 4.2 billion euros, of which most will be paid by the northern states.",
    "What was decided",
    "- New sewage works in eleven towns\n- A ban on three pesticides",
    "We have waited long enough for this day, and now the work begins.",
    "Country | Share\nNorth | 2.1 billion",
    "The first works are to be opened next spring, and a joint office in the port city will watch over it.",
]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", PAGE.format(meta='<meta charset="utf-8">').encode()),
        ("a.htm", PAGE.format(meta='<meta charset="iso-8859-1">').encode("iso-8859-1")),
        ("b.html", PAGE.format(meta='<meta charset="iso-8859-1">').encode()),
        ("c.html", PAGE.format(meta="").encode("utf-16")),
        ("a.xhtml", b'<?xml version="1.0" encoding="utf-8"?>' + PAGE.format(meta="").encode()),
    ],
)
def test_a_page_gives_its_article_and_nothing_around_it(tmp_path: Path, name: str, data: bytes) -> None:
    got = article(tmp_path / name, data)
    assert got.text.split("\n\n") == PARAGRAPHS
    assert got == RawArticle(
        key="KEY",
        title="Ministers agree on river plan",
        text="\n\n".join(PARAGRAPHS),
        url="https://www.dailypost.example/world/river-plan",
        source="The Daily Post",
        author="Jane Smith",
        published=datetime(2024, 6, 18, 7, 30, tzinfo=UTC),
        published_from="meta",
        language="en",
    )


def dated_page(head: str, body: str = "") -> str:
    told = "".join(
        f"<p>Ministers met on the river for the {nth} time, and they agreed on nothing.</p>" for nth in PLACES
    )
    return f"<html><head><title>Talks</title>{head}</head><body><article>{body}{told}</article></body></html>"


PLACES = ("first", "second", "third", "fourth", "fifth")
PAGES = {
    "meta": dated_page('<meta property="article:published_time" content="{day}T00:00:00Z">'),
    "data": dated_page('<script type="application/ld+json">{{"datePublished":"{day}"}}</script>'),
    "time": dated_page("", '<time datetime="{day}">that day</time>'),
    "address": dated_page('<link rel="canonical" href="https://post.example/{slashed}/talks">'),
    "text": dated_page("", "<p>Published {day}</p>"),
}


@pytest.mark.parametrize(
    ("where", "known_from"),
    [("meta", "meta"), ("data", "meta"), ("time", "meta"), ("address", "url"), ("text", "text")],
)
def test_a_page_says_how_its_date_is_known(tmp_path: Path, where: str, known_from: str) -> None:
    def page(day: str) -> str:
        kept = PAGES[where].replace("{day}", day).replace("{slashed}", day.replace("-", "/"))
        return kept.replace("{{", "{").replace("}}", "}")

    got = article(tmp_path / "a.html", page("2024-06-18"))
    assert (got.published, got.published_from) == (JUNE_18, known_from)
    for day in ("2999-01-02", "1492-10-12"):
        got = article(tmp_path / "a.html", page(day))
        assert (got.published, got.published_from) == (None, None)


@pytest.mark.parametrize(("day", "reason"), [("2999-01-02", "in the future"), ("1492-10-12", "before the year 1600")])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", '{"title": "A", "text": "It rains.", "date": "DAY"}'),
        ("a.csv", "title,text,date\nA,It rains.,DAY\n"),
        ("a.md", "---\ndate: DAY\n---\n# A\n\nIt rains.\n"),
        (
            "a.atom",
            '<feed xmlns="http://www.w3.org/2005/Atom"><title>F</title><id>f</id><entry><id>urn:1</id><title>A</title>'
            "<published>DAYT00:00:00Z</published><content>It rains.</content></entry></feed>",
        ),
    ],
)
def test_a_date_that_cannot_be_is_left_out_and_named(
    tmp_path: Path, name: str, data: str, day: str, reason: str
) -> None:
    problem, rest = found(tmp_path / name, data.replace("DAY", day))
    assert isinstance(problem, Problem)
    assert isinstance(rest, RawArticle)
    assert problem.reason.endswith(f"was left out: {reason}")
    assert (problem.lost, rest.text, rest.published, rest.published_from) == (False, "It rains.", None, None)


@pytest.mark.parametrize(
    "page",
    [
        "<html><body><nav><a href='/'>Home</a> <a href='/w'>World news and more of it here</a></nav></body></html>",
        "<html></html>",
        "not a page at all",
        "<html><body>" + "<div>" * 5_000 + "x" + "</div>" * 5_000 + "</body></html>",
    ],
)
def test_a_page_without_an_article_is_a_problem(tmp_path: Path, page: str) -> None:
    assert found(tmp_path / "a.html", page) == [Problem(str(tmp_path / "a.html"), "no article text found in the page")]


# Records

RECORDS = [
    {
        "_id": 7,
        "headline": "  First\n one ",
        "body": ["One.", "", "Two."],
        "pubDate": "2024-06-18",
        "lang": "en-US",
    },
    {
        "link": "https://www.example.org/2",
        "text": "Second text.",
        "authors": ["Ann", {"name": "Bo"}],
        "title": "",
    },
    {
        "content": "Third text.",
        "metadata": {"title": "Third", "publisher": {"name": "Post"}, "language": "English"},
    },
]
ARTICLES = [
    RawArticle("7", "First one", "One.\n\nTwo.", published=JUNE_18, published_from="given", language="en"),
    RawArticle(
        "https://www.example.org/2", "", "Second text.",
        url="https://www.example.org/2", source="example.org", author="Ann, Bo",
    ),
    RawArticle("KEY#3", "Third", "Third text.", source="Post"),
]  # fmt: skip
JSON_LINES = "\n".join(json.dumps(record) for record in RECORDS) + "\n"


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".jsonl", JSON_LINES),
        (".ndjson", "\ufeff" + JSON_LINES.replace("\n", "\r\n\n")),
        (".json", json.dumps(RECORDS)),
        (".json", json.dumps({"status": "ok", "total": 3, "articles": RECORDS, "next": None}, indent=1)),
        (".json", json.dumps({"records": RECORDS})),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz", ".zst", ".GZ"])
def test_records_become_articles_in_every_format_and_packing(
    tmp_path: Path, suffix: str, data: str, packing: str
) -> None:
    pack = {"": bytes, ".gz": gzip.compress, ".GZ": gzip.compress, ".zst": zstandard.compress}[packing]
    assert found(tmp_path / f"news{suffix}{packing}", pack(data.encode())) == ARTICLES


def test_one_object_is_one_article(tmp_path: Path) -> None:
    assert article(tmp_path / "a.json", '{"title": "T", "text": "Body.", "items": []}') == RawArticle(
        "KEY#1", "T", "Body."
    )
    assert found(tmp_path / "b.json", "[]") == []


def test_a_broken_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = ['{"id":"a","text":"A"}', "{broken", '{"text":5}', '{"text":{"a":1}}', '{"title":"x"}', "[1]", "["*100_000,
             '{"id":"b","text":"B \\ud800 \\ud83d\\ude00"}', '{"text":"half']  # fmt: skip
    results = found(path, "\n".join(lines))
    assert keys(results) == ["a", "b"]
    assert [result.text for result in results if isinstance(result, RawArticle)] == ["A", "B \ufffd 😀"]
    assert [result for result in results if isinstance(result, Problem)] == [
        Problem(
            f"{path}, line 2",
            "not valid JSON: Expecting property name enclosed in double quotes at character 2",
        ),
        Problem(f"{path}, line 3", "the text is a number, not text"),
        Problem(f"{path}, line 4", "the text is an object, not text"),
        Problem(f"{path}, line 5", "no text"),
        Problem(f"{path}, line 6", "not a record with named fields"),
        Problem(f"{path}, line 7", "not valid JSON: nested too deeply"),
        Problem(f"{path}, line 9", "not valid JSON: Unterminated string starting at at character 9"),
    ]


def test_a_bad_date_costs_only_the_date() -> None:
    record = {"id": 1, "text": "Body.", "title": "T", "date": "yesterday"}
    assert list(from_record(record, where="line 7", fallback_key="k")) == [
        Problem(
            "line 7",
            "the date 'yesterday' was left out: not a full date with day, month and year",
            lost=False,
        ),
        RawArticle("1", "T", "Body."),
    ]


def test_a_field_of_the_wrong_kind_costs_only_itself() -> None:
    record = {
        "id": {"$oid": "5"},
        "text": "Body.",
        "author": 3.5,
        "source": True,
        "language": 4,
        "title": 1984,
    }
    *problems, got = from_record(record, where="w", fallback_key="k")
    assert reasons(problems) == [
        "the source is true or false, not text; left out",
        "the author is a number, not text; left out",
        "the id is an object, not text; left out",
    ]
    assert not any(problem.lost for problem in problems if isinstance(problem, Problem))
    assert got == RawArticle("k", "1984", "Body.")


def test_json_that_is_half_written_says_where_and_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    results = found(path, '[{"id": "a", "text": "A"},\n {"id": "b", "te')
    assert keys(results) == ["a"]
    assert results[1:] == [Problem(str(path), "not valid JSON at line 2, column 14: the file ends too early")]
    assert reasons(found(path, '{"text": "A"')) == ["not valid JSON at line 1, column 13: the file ends too early"]
    assert reasons(found(path, '[{"text": 1 2}]')) == ["not valid JSON at line 1, column 13: Expecting ',' delimiter"]
    assert reasons(found(path, "[" * 100_000)) == ["not valid JSON at line 1, column 2: nested too deeply"]
    assert reasons(found(path, '{"a":' * 100_000)) == ["not valid JSON at line 1, column 6: nested too deeply"]
    assert reasons(found(path, "17")) == ["neither a list of articles nor an object"]
    assert reasons(found(path, '{"text":"a"}\n{"text":"b"}')) == [
        "more than one JSON value (line 2); JSON Lines are named .jsonl"
    ]


def test_a_list_larger_than_the_limit_is_read_record_by_record(tmp_path: Path) -> None:
    records = [{"id": n, "text": "é" * 50 + str(n)} for n in range(5_000)]
    data = json.dumps(records, ensure_ascii=False, indent=2)
    for name, pack in (("a.json", bytes), ("a.json.gz", gzip.compress), ("a.json.zst", zstandard.compress)):
        results = found(tmp_path / name, pack(data.encode()), limit=1_000)
        assert keys(results) == [str(n) for n in range(5_000)]


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t"), (".csv", ";")])
@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_tables_become_articles(tmp_path: Path, suffix: str, mark: str, packing: str) -> None:
    rows = [
        ["ID", "Title", "Text", "Date"],
        ["1", "T", 'two\nlines, "q"; x', "2024-06-18"],
        ["", "", "Only text", ""],
    ]
    quoted = "\r\n".join(mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[packing]
    assert found(tmp_path / f"a{suffix}{packing}", pack(("\ufeff" + quoted).encode())) == [
        RawArticle("1", "T", 'two\nlines, "q"; x', published=JUNE_18, published_from="given"),
        RawArticle("KEY#2", "", "Only text"),
    ]


def test_broken_rows_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = 'id,title,text\na,A,"He" said no\nb,B,too,many\nc,C,"never closed\nd,D,Fine.\ne,E,\n'
    before = csv.field_size_limit()
    assert found(path, data) == [
        RawArticle("a", "A", '"He" said no'),
        Problem(f"{path}, line 3", "4 columns where the first row has 3"),
        Problem(f"{path}, line 4", "a quotation mark is never closed"),
        RawArticle("d", "D", "Fine."),
        Problem(f"{path}, line 6", "no text"),
    ]
    assert csv.field_size_limit() == before


def test_a_field_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    got = found(tmp_path / "a.csv", "id,text\n1," + "x" * 300_000 + "\n")
    assert [len(result.text) for result in got if isinstance(result, RawArticle)] == [300_000]


def test_a_row_that_never_ends_is_given_up_and_the_next_whole_row_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = 'id,text\na,"' + "more\n" * 2_000 + '"\nb,Fine.\n'
    assert found(path, data, limit=1_000) == [
        Problem(f"{path}, line 2", "is larger than 1000 bytes"),
        Problem(f"{path}, line 2002", "a quotation mark is never closed"),
        RawArticle("b", "", "Fine."),
    ]


def test_a_table_without_a_text_column_says_so_once(tmp_path: Path) -> None:
    assert reasons(found(tmp_path / "a.csv", "id,name\n1,x\n2,y\n")) == [
        "no column for the text: one must be called text, body, content, article, maintext"
    ]


def test_small_records_may_have_any_encoding_and_large_ones_must_be_utf_8(tmp_path: Path) -> None:
    table = f'title,text\nMöte,"{NEWS["swedish"]}"\n'
    assert found(tmp_path / "a.csv", table.encode("cp1252")) == [RawArticle("KEY#1", "Möte", NEWS["swedish"])]
    assert found(tmp_path / "b.csv", table.encode("utf-16")) == [RawArticle("KEY#1", "Möte", NEWS["swedish"])]
    lines = b'{"id":"a","text":"plain"}\n' + '{"id":"b","text":"Göteborg"}\n'.encode("cp1252") * 3
    path = tmp_path / "c.jsonl"
    results = found(path, lines, limit=60)
    assert keys(results) == ["a"]
    assert results[1] == Problem(f"{path}, line 2", "is not UTF-8")
    assert reasons(found(tmp_path / "d.jsonl.gz", gzip.compress(b"\xff\xfe{\x00"))) == [
        "is UTF-16; only small files may be: store it as UTF-8"
    ]


def test_zero_bytes_at_the_end_of_a_log_cost_only_their_line(tmp_path: Path) -> None:
    results = found(tmp_path / "a.jsonl", b'{"id":"a","text":"A"}\n' + b"\0" * 512)
    assert keys(results) == ["a"]
    assert reasons(results) == ["not valid JSON: Expecting value at character 1"]


# Feeds

RSS = """<?xml version="1.0" encoding="{encoding}"?>
<?xml-stylesheet href="/feed.xsl"?><!-- <item> -->
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:media="http://search.yahoo.com/mrss/"><channel><title>Post</title><link>https://post.example/</link>
<language>sv-SE</language><image><title>Logo</title><url>https://post.example/logo.png</url></image>
<item><title>Älven &amp;amp; &lt;i&gt;haven&lt;/i&gt;</title><link>https://post.example/alven?a=1&amp;b=2</link>
<guid isPermaLink="false">https://post.example/@ek/7</guid><pubDate>Tue, 18 Jun 2024 09:30:00 +0200</pubDate>
<dc:creator><![CDATA[Åsa Ek]]></dc:creator><category>Miljö</category><source url="https://tt.example/rss">TT</source>
<media:content url="https://post.example/p.jpg"><media:title>A picture</media:title></media:content>
<description>Fyra länder är överens &amp;hellip;</description><content:encoded><![CDATA[<h2>Målet</h2>
<p>Älven ska bli <b>ren</b>&nbsp;igen.</p><script>track()</script><ul><li>Elva
verk</li><li>Tre förbud</li></ul><table><tr><th>Land</th><th>Del</th></tr><tr><td>Norr</td><td>2</td></tr></table>
Slut<br/>på det.]]></content:encoded></item>
<item><title>Kort</title><guid>https://post.example/kort</guid><author>bo@post.example (Bo Alm)</author>
<description>Bara en rad.</description><pubDate>i går</pubDate></item>
<item><title>Tom</title><link>https://post.example/tom</link></item>
<item><title>Utan namn</title><description>Varken länk eller id.</description></item>
</channel></rss>"""


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "UTF-16"])
@pytest.mark.parametrize(
    ("suffix", "pack"), [(".rss", bytes), (".xml.gz", gzip.compress), (".rss.zst", zstandard.compress)]
)
def test_each_entry_of_a_feed_is_an_article(
    tmp_path: Path, encoding: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"feed{suffix}"
    assert found(path, pack(RSS.format(encoding=encoding).encode(encoding))) == [
        RawArticle(
            key="https://post.example/@ek/7",
            title="Älven & haven",
            text="Målet\n\nÄlven ska bli ren igen.\n\n- Elva verk\n- Tre förbud\n\n"
            "Land | Del\nNorr | 2\n\nSlut\npå det.",
            url="https://post.example/alven?a=1&b=2",
            source="TT",
            author="Åsa Ek",
            published=datetime(2024, 6, 18, 7, 30, tzinfo=UTC),
            published_from="given",
            language="sv",
        ),
        Problem(
            f"{path}, entry 2",
            "the date 'i går' was left out: not a full date with day, month and year",
            lost=False,
        ),
        RawArticle(
            key="https://post.example/kort",
            title="Kort",
            text="Bara en rad.",
            url="https://post.example/kort",
            author="Bo Alm",
            language="sv",
        ),
        Problem(f"{path}, entry 3", "no text"),
        RawArticle(key="KEY#ojhe7u5iixoatwap", title="Utan namn", text="Varken länk eller id.", language="sv"),
    ]


ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en" xml:base="https://post.example/news/">
<title>Post</title><author><name>Desk</name></author><updated>2024-06-19T00:00:00Z</updated>
<entry><id>tag:post.example,2024:1</id><title type="html">Tom &amp;amp; Jerry</title><link rel="self" href="x.atom"/>
<link href="one"/><published>2024-06-18T00:00:00Z</published><updated>2024-06-19T00:00:00Z</updated>
<author><name>Ann</name><email>ann@post.example</email></author><author><name>Bo</name></author>
<content type="xhtml" xml:lang="de"><div xmlns="http://www.w3.org/1999/xhtml"><p>Eins &lt; zwei.</p><p>Drei.</p></div>
</content></entry>
<entry><id>urn:post:2</id><title>Plain</title><updated>2024-06-18T00:00:00Z</updated>
<summary>Write &lt;b&gt; for bold.</summary>
<source><title>Wire</title><id>w</id></source></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://post.example/"><title>Post</title>
<items><rdf:Seq><rdf:li rdf:resource="https://post.example/1"/></rdf:Seq></items></channel>
<item rdf:about="https://post.example/1"><title>One</title><link>https://post.example/one</link>
<description>It rains.</description><dc:date>2024-06-18</dc:date><dc:creator>Ann</dc:creator></item></rdf:RDF>"""
JSON_FEED = {
    "items": [
        {
            "id": "https://post.example/1",
            "url": "https://post.example/one",
            "title": "One",
            "content_html": "<p>It rains.</p><p>Still.</p>",
            "date_published": "2024-06-18T00:00:00Z",
            "authors": [{"name": "Ann"}, {"name": "Bo"}],
            "language": "en-US",
        },
        {"id": 2, "content_text": "Plain <b>text</b>.", "author": {"name": "Bo"}, "external_url": "https://w.example/"},
        {"id": "3", "content_html": "", "title": "Nothing"},
    ],
    "version": "https://jsonfeed.org/version/1.1",
}


def test_an_atom_feed_is_read(tmp_path: Path) -> None:
    assert found(tmp_path / "feed.atom", ATOM) == [
        RawArticle(
            key="tag:post.example,2024:1",
            title="Tom & Jerry",
            text="Eins < zwei.\n\nDrei.",
            url="https://post.example/news/one",
            author="Ann, Bo",
            published=JUNE_18,
            published_from="given",
            language="de",
        ),
        RawArticle(
            key="urn:post:2",
            title="Plain",
            text="Write <b> for bold.",
            source="Wire",
            published=JUNE_18,
            published_from="given",
            language="en",
        ),
    ]


def test_an_rdf_feed_is_read(tmp_path: Path) -> None:
    assert article(tmp_path / "feed.xml", RDF) == RawArticle(
        key="https://post.example/1",
        title="One",
        text="It rains.",
        url="https://post.example/one",
        author="Ann",
        published=JUNE_18,
        published_from="given",
    )


def test_a_json_feed_is_read_wherever_it_says_that_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "feed.json"
    assert found(path, json.dumps(JSON_FEED)) == [
        RawArticle(
            key="https://post.example/1",
            title="One",
            text="It rains.\n\nStill.",
            url="https://post.example/one",
            author="Ann, Bo",
            published=JUNE_18,
            published_from="given",
            language="en",
        ),
        RawArticle(key="KEY#2", title="", text="Plain <b>text</b>.", url="https://w.example/", author="Bo"),
        Problem(f"{path}, line 1", "no text"),
    ]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("<description>Short.</description>", False),
        (f"<description>{'It rains. ' * 151}</description>", True),
        (f"<description>{'It rains. ' * 151} […]</description>", False),
        ("<content:encoded>Short.</content:encoded>", True),
        ("<content:encoded>It rains ...&lt;p&gt;The post appeared first on Post.&lt;/p&gt;</content:encoded>", False),
        ("<description>Longer.</description><content:encoded>&lt;img src='x'/&gt;</content:encoded>", False),
        ("", False),
    ],
)
def test_a_text_is_whole_where_the_feed_has_contents_or_much_and_does_not_break_off(text: str, whole: bool) -> None:
    namespace = "xmlns:content='http://purl.org/rss/1.0/modules/content/'"
    (entry,) = parse_feed(f"<rss {namespace}><channel><item>{text}</item></channel></rss>".encode()).entries
    assert entry.whole is whole


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ("<guid>/1</guid>", {"key": "https://post.example/1", "url": "https://post.example/1"}),
        ("<guid isPermaLink='false'>1</guid>", {"key": "1", "url": None}),
        ("<guid>urn:1</guid><link/><link>/2</link>", {"key": "urn:1", "url": "https://post.example/2"}),
        ("<link href='/self' rel='self'/><link href='/pdf' type='application/pdf'/><link href='/3'/>",
         {"url": "https://post.example/3"}),
        ("<title/><dc:title>A</dc:title><title>B</title><media:title>C</media:title>", {"title": "A"}),
        ("<title>The &lt;i&gt;Post&lt;/i&gt;</title>", {"title": "The Post"}),
        ("<title>M\u00c3\u00b6te</title><author>O\u0092Hara</author>", {"title": "Möte", "author": "O’Hara"}),
        ("<author>a@b.example</author><dc:creator>Cy (Editor)</dc:creator>", {"author": "Cy (Editor)"}),
        ("<author><name>Ann</name><email>a@b.example</email></author><author>a@b.example (Bo)</author>",
         {"author": "Ann, Bo"}),
        ("<description>Hi.</description><summary>A &amp;lt; B</summary>", {"text": "A < B", "whole": True}),
        ("<description><div>In &lt;b&gt;one&lt;/b&gt;</div></description>", {"text": "In one"}),
        ("<description>&lt;p&gt;One<script/> <b>two</b></description>", {"text": "One two"}),
        ("<content mode='base64' type='text/html'>PHA+aGk8L3A+</content>", {"text": "hi"}),
        ("<content type='image/png'>PHA+</content><summary>S</summary>", {"text": "S", "whole": False}),
        ("<content type='application/xml'><a>b</a></content>", {"text": ""}),
        ("<description xml:lang='it'>x</description>", {"language": "it"}),
        ("<pubDate>2016/6/29 15:07:41</pubDate>", {"published": datetime(2016, 6, 29, 15, 7, 41, tzinfo=UTC)}),
        ("<dc:date>Wed, 27 Apr 2016 19:25:14 CEST</dc:date>",
         {"published": datetime(2016, 4, 27, 17, 25, 14, tzinfo=UTC)}),
        ("<pubDate>1461784514</pubDate>", {"published": datetime(2016, 4, 27, 19, 15, 14, tzinfo=UTC)}),
    ],
)  # fmt: skip
def test_what_elements_of_an_entry_mean(elements: str, expected: dict[str, object]) -> None:
    namespaces = "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:media='http://search.yahoo.com/mrss/'"
    data = f"<rss {namespaces}><channel><language>en</language><item>{elements}</item></channel></rss>"
    (entry,) = parse_feed(data.encode(), "https://post.example/feed").entries
    assert {name: getattr(entry, name) for name in expected} == expected


BROKEN = """<br />
<b>Warning</b>: unlink() in <b>/www/feed.php</b>
<!DOCTYPE rss><rss version="2.0"><channel><title>R&D</title>
<item><title>Q&A: fish & chips</title><description>Caf&eacute;&nbsp;open<br>till five<p>or six</description>
<link>https://post.example/1?a=1&b=2</link></item>
<item><title>Two\x0b</title><dc:creator>Ann</dc:creator>
<content:encoded>&lt;p&gt;&amp;foo; body&lt;/p&gt;</content:encoded></item>
<item geo:at="1"><title>Three</title><description>Half a sen"""


def test_what_can_be_read_of_a_broken_feed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rss"
    assert found(path, BROKEN) == [
        RawArticle(
            key="https://post.example/1?a=1&b=2",
            title="Q&A: fish & chips",
            text="Café open\ntill five\n\nor six",
            url="https://post.example/1?a=1&b=2",
        ),
        RawArticle(key="KEY#4vpssagvuaom5bxy", title="Two", text="&foo; body", author="Ann"),
        RawArticle(key="KEY#b7bx3zw6uy2vgdzx", title="Three", text="Half a sen"),
        Problem(str(path), "the feed is cut short"),
    ]


def test_entities_of_a_feed_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    laughs = "".join(f"<!ENTITY l{n + 1} '{f'&l{n};' * 10}'>" for n in range(12))
    files = f"<!ENTITY x SYSTEM 'file://{secret}'><!ENTITY % p SYSTEM 'http://127.0.0.1:9/'>%p;"
    feed = "<rss><channel><item><description>&x; &l12; end</description></item></channel></rss>"
    got = article(tmp_path / "a.rss", f"<!DOCTYPE rss [{files}<!ENTITY l0 'lol'>{laughs}]>{feed}")
    assert got.text == "&x; &l12; end"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("plain text", "is no feed"),
        ("<!DOCTYPE html><html><body><p>Hello</p></body></html>", "is a web page, not a feed"),
        ("<!DOCTYPE html><html><body><p>Hello<br></body>", "is a web page, not a feed"),
        ("<urlset><url><loc>https://post.example/</loc></url></urlset>", "is no feed: its outermost element is urlset"),
        ("<x:RDF xmlns:x='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><Person/></x:RDF>", "is no feed"),
        ('{"items": []}', "is JSON, but no JSON Feed"),
    ],
)
def test_what_is_no_feed_says_so(tmp_path: Path, data: str, reason: str) -> None:
    path = tmp_path / "a.xml"
    assert found(path, data) == [Problem(str(path), reason)]


def test_an_entry_above_the_limit_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.rss"
    items = "".join(f"<item><guid>urn:{n}</guid><description>{'é' * n}</description></item>" for n in (50, 51))
    assert found(path, f"<rss><channel>{items}</channel></rss>", limit=100) == [
        RawArticle(key="urn:50", title="", text="é" * 50),
        Problem(f"{path}, entry 2", "is larger than 100 bytes"),
    ]


@pytest.mark.parametrize(
    "item",
    [
        "<author>" + "a." * 200_000 + "</author>",
        "".join(f"<category>{number}</category>" for number in range(50_000)),
        "<category " + " ".join(f"a{number}='x'" for number in range(50_000)) + "/>",
    ],
)
@pytest.mark.parametrize("end", ["</item></channel></rss>", "<br></item></channel></rss>"])
def test_nothing_in_a_feed_takes_more_time_than_it_is_long(item: str, end: str) -> None:
    # Each of these takes feedparser, which we used before, between half a minute and ten.
    (entry,) = parse_feed(f"<rss><channel><item><description>It rains.</description>{item}{end}".encode()).entries
    assert entry.text == "It rains."


# Damage, bombs and limits


@pytest.mark.parametrize(("packing", "name"), [(".gz", "gzip"), (".zst", "Zstandard")])
def test_what_comes_before_the_damage_in_a_packed_file_is_kept(tmp_path: Path, packing: str, name: str) -> None:
    lines = [json.dumps({"id": n, "text": os.urandom(200).hex()}) for n in range(2_000)]
    data = "\n".join(lines).encode()
    packed = gzip.compress(data) if packing == ".gz" else zstandard.compress(data)
    path = tmp_path / f"a.jsonl{packing}"
    results = found(path, packed[: len(packed) // 2])
    assert len(keys(results)) > 500
    assert keys(results) == [str(n) for n in range(len(keys(results)))]
    assert results[-1] == Problem(str(path), f"the {name} data is cut short")
    assert len(reasons(results)) == 1
    assert reasons(found(path, b"plain text, not packed")) == [f"the {name} data is damaged"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize(
    ("name", "inside", "reason"),
    [
        ("a.txt", b"a" * 50_000_000, "is larger than 10000 bytes"),
        ("a.html", b"a" * 50_000_000, "is larger than 10000 bytes"),
        ("a.md", b"a" * 50_000_000, "is larger than 10000 bytes"),
        ("a.jsonl", b'{"text":"' + b"a" * 50_000_000, "line 1 is larger than 640000 bytes; nothing after it was read"),
        ("a.json", b'[{"text":"' + b"a" * 50_000_000, "not valid JSON at line 1, column 2: one record is larger than 10000 bytes"),  # noqa: E501
        ("a.rss", b"a" * 50_000_000, "is larger than 10000000 bytes"),
        ("a.csv", b'text\n"' + b"a" * 50_000_000, "line 2 is larger than 640000 bytes; nothing after it was read"),
        ("a.csv", b'text\n"' + b"a\n" * 9_000_000, "nothing after the broken row was read"),
    ],
)  # fmt: skip
def test_a_bomb_is_stopped_before_it_goes_off(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str, inside: bytes, reason: str
) -> None:
    path = tmp_path / (name + (".gz" if pack is gzip.compress else ".zst"))
    path.write_bytes(pack(inside))
    tracemalloc.start()
    results = list(read(path, "KEY", 10_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reasons(results)[-1] == reason
    assert keys(results) == []
    # The piece of Zstandard output that is being looked at, and the bytes it is joined to.
    assert most < 80_000_000


def test_an_article_above_the_limit_costs_only_itself(tmp_path: Path) -> None:
    big = json.dumps({"id": "big", "text": "x" * 2_000})
    small = json.dumps({"id": "small", "text": "x"})
    lines = tmp_path / "a.jsonl"
    assert reasons(found(tmp_path / "a.txt", "x" * 1_001, limit=1_000)) == ["is larger than 1000 bytes"]
    results = found(lines, f"{big}\n{small}\n", limit=1_000)
    assert results[0] == Problem(f"{lines}, line 1", "is larger than 1000 bytes")
    assert keys(results) == ["small"]
    listed = found(tmp_path / "a.json", f"[{big},\n{small}]", limit=1_000)
    assert reasons(listed) == ["is larger than 1000 bytes"]
    assert keys(listed) == ["small"]


def test_what_is_packed_may_be_a_little_larger_than_what_it_holds(tmp_path: Path) -> None:
    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=1_000))
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(text.encode(), compresslevel=0))
    assert path.stat().st_size > 1_000
    assert list(read(path, "KEY", 1_000)) == [RawArticle("KEY", "", text.strip())]
    path.write_bytes(bytes(2_100))
    assert list(read(path, "KEY", 1_000)) == [Problem(str(path), "is larger than 1000 bytes")]


@pytest.mark.parametrize("suffix", READERS)
def test_every_reader_turns_emptiness_and_noise_into_a_problem(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    assert found(path, b"") == [Problem(str(path), "is empty")]
    assert found(path, b" \n \n") == [Problem(str(path), "is empty")]
    assert found(path, bytes(range(256)) * 20) == [Problem(str(path), "looks binary, not text")]
    path.unlink()
    assert list(read(path, "KEY", LIMIT)) == [Problem(str(path), "no such file or folder")]
    path.mkdir()
    assert list(read(path, "KEY", LIMIT)) == [Problem(str(path), "is a folder")]


def test_a_file_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("nothing can be denied to this user")
    assert list(read(path, "KEY", LIMIT)) == [Problem(str(path), "permission denied")]


# Walking

KNOWN = "known are " + ", ".join(READERS) + ", each also with .gz and .zst"


def test_suffixes_are_compared_without_regard_to_case_and_packing() -> None:
    assert [suffix_of(Path(name)) for name in ("a.TXT", "b.JsonL.GZ", "c.csv.zst", "d.gz", "e")] == [
        ".txt", ".jsonl", ".csv", "", "",
    ]  # fmt: skip


def test_a_named_file_is_itself_and_an_unknown_one_is_told_what_is_known(tmp_path: Path) -> None:
    known, unknown = tmp_path / ".hidden.txt", tmp_path / "a.pdf"
    known.touch()
    unknown.touch()
    assert list(walk(known)) == [known]
    problem = Problem(str(unknown), f"unknown kind of file; {KNOWN}")
    assert list(walk(unknown)) == [problem]
    assert list(read(unknown, "KEY", LIMIT)) == [problem]


@pytest.mark.parametrize("name", ["missing", "missing.txt", "file.txt/inside.txt", "nul\0.txt"])
def test_a_path_that_is_not_there_is_a_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").touch()
    path = tmp_path / name
    assert list(walk(path)) == [Problem(str(path), "no such file or folder")]
    assert list(read(path, "KEY", LIMIT)) == [Problem(str(path), "no such file or folder")]


def test_a_folder_is_walked_in_order_without_what_is_hidden_or_unknown(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/b/c.jsonl.gz", "a.txt", ".hidden.txt", ".git/x.txt", "x.pdf", "B.TXT"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.txt")
    results = list(walk(tmp_path))
    assert results == sorted(tmp_path / name for name in ("B.TXT", "a/b/c.jsonl.gz", "a/z.md", "a.txt", "b.txt"))


def test_a_pipe_that_is_named_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    assert list(walk(pipe)) == [Problem(str(pipe), "is not a regular file")]
    assert list(read(pipe, "KEY", LIMIT)) == [Problem(str(pipe), "is not a regular file")]


def test_links_out_of_the_folder_are_not_followed_and_loops_do_no_harm(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "sub").mkdir(parents=True)
    (inside / ".store").mkdir()
    outside.mkdir()
    for file in (inside / "a.txt", inside / "data", inside / ".store" / "s.txt", outside / "secret.txt"):
        file.touch()
    (inside / "out.txt").symlink_to(outside / "secret.txt")
    (inside / "outfolder").symlink_to(outside)
    (inside / "sub" / "up").symlink_to(inside)
    (inside / "self.txt").symlink_to(inside / "self.txt")
    (inside / "again.txt").symlink_to("a.txt")
    (inside / "data.txt").symlink_to("data")
    (inside / "store").symlink_to(".store")
    (inside / "gone.txt").symlink_to("nowhere.txt")
    assert list(walk(inside)) == [
        inside / "a.txt",
        inside / "data.txt",
        Problem(str(inside / "gone.txt"), "no such file or folder"),
        inside / "store" / "s.txt",
    ]
    link = tmp_path / "link"
    link.symlink_to(inside)
    assert inside.name not in [path.parent.name for path in walk(link) if isinstance(path, Path)]


def test_a_part_of_a_folder_is_walked_as_the_whole_would_be(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    for name in (
        "a.txt",
        "sub/b.txt",
        "sub/deep/c.txt",
        "sub/.h.txt",
        "sub/README.md",
        ".store/s.txt",
        "x.pdf",
        "data",
    ):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).touch()
    (tmp_path / "secret.txt").touch()
    for name, goal in {"again.txt": "a.txt", "data.txt": "data", "out.txt": "../secret.txt", "store": ".store",
                       "up": "..", "same": "sub", "gone.txt": "nowhere.txt", "sub/up": ".."}.items():  # fmt: skip
        (inside / name).symlink_to(goal)
    whole = [one if isinstance(one, Path) else Path(one.where) for one in walk(inside)]
    assert list(walk(inside, inside=inside)) == list(walk(inside))
    for part in [
        *inside.rglob("*"),
        inside / "store" / "s.txt",
        inside / "same" / "b.txt",
        inside / "up" / "secret.txt",
    ]:
        found = list(walk(part, inside=inside))
        expected = [path for path in whole if path == part or part in path.parents]
        assert [one if isinstance(one, Path) else Path(one.where) for one in found] == expected, part
    assert list(walk(inside / "gone.txt", inside=inside)) == [
        Problem(str(inside / "gone.txt"), "no such file or folder")
    ]


@pytest.mark.parametrize("name", ["missing", "missing.txt", "missing/a.txt", "file.txt/inside.txt"])
def test_a_part_that_is_not_there_holds_nothing_unless_the_folder_is_not_there_either(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file.txt").touch()
    assert list(walk(tmp_path / name, inside=tmp_path)) == []
    away = tmp_path / "away"
    assert list(walk(away / name, inside=away)) == [Problem(str(away / name), "no such file or folder")]


def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "z.txt").touch()
    closed.chmod(0)
    denied = not os.access(closed, os.R_OK)
    results = list(walk(tmp_path))
    closed.chmod(0o700)
    if not denied:
        pytest.skip("nothing can be denied to this user")
    assert results == [Problem(str(closed), "permission denied"), tmp_path / "z.txt"]


def test_a_name_that_is_not_text_gives_a_problem_that_can_be_printed(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    path.touch()
    (problem,) = read(path, "KEY", LIMIT)
    assert isinstance(problem, Problem)
    assert problem.where == rf"{tmp_path}/\udcff.txt"


def test_a_reader_yields_as_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id":"a","text":"A"}\n' * 200_000))
    results: Iterator[RawArticle | Problem] = read(path, "KEY", LIMIT)
    tracemalloc.start()
    assert next(results) == RawArticle("a", "", "A")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_importing_the_readers_loads_no_heavy_library() -> None:
    heavy = "trafilatura lxml dateparser charset_normalizer markdown_it yaml zstandard"
    code = f"import sys, searchsvc.readers; print([m for m in '{heavy}'.split() if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.strip() == "[]"


def test_a_folders_readme_is_no_news_unless_it_is_named(tmp_path: Path) -> None:
    for name in ("README.md", "readme.txt", "readme-first.txt", "news.txt"):
        (tmp_path / name).write_text("A headline\n\nSome text of an article.", encoding="utf-8")
    assert [path.name for path in walk(tmp_path) if isinstance(path, Path)] == ["news.txt", "readme-first.txt"]
    assert list(walk(tmp_path / "README.md")) == [tmp_path / "README.md"]


def test_a_file_of_records_without_end_that_cannot_be_read_is_given_up() -> None:
    lines = count(1)
    broken = (Problem(f"a, line {number}", "is no record") for number in lines)
    found = list(named(chain([RawArticle("a", "", "It rained.")], broken), "a", most_in_a_row=5_000))
    assert next(lines) == 5_002  # no more was read
    assert isinstance(found[0], RawArticle)
    problems = [one for one in found if isinstance(one, Problem)]
    said = "more than 5,000 records in a row could not be read; nothing after them was"
    assert said in [one.reason for one in problems]
    assert sum(one.count for one in problems) == 5_001
