"""The program as people and scripts run it: a process with arguments, two streams and an exit code."""

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from searchsvc import FROM_SOURCE, __version__
from searchsvc.__main__ import main
from searchsvc.settings import Settings

ROOT = Path(__file__).parents[2]
QUESTION = "what does Russia want from North Korea"
ANSWER = "Russia is likely seeking ammunition, construction workers, even volunteers"
# What could move a cursor, recolour, ring, or turn the reading direction; line ends are the only control characters.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

NEWS = [
    {
        "id": "ferry-1",
        "title": "Storm halts Rotterdam ferry",
        "text": "The ferry from Rotterdam to Hull stayed in the harbour on Tuesday.\n\nA storm made the crossing too "
        "dangerous, the company said, and passengers were put up in hotels.",
        "url": "https://news.example/ferry-1",
        "source": "Harbour Times",
        "author": "Ann Smit",
        "published": "2024-06-18",
    },
    {
        "id": "ferry-2",
        "title": "Rotterdam ferry sails again",
        "text": "The ferry from Rotterdam to Hull sailed again on Friday, after the storm had passed over the harbour.",
        "source": "Evening Post",
        "published": "2024-06-21",
    },
]
HOSTILE = {
    "id": "evil\x1b[2J\u202ekey",
    "title": "[bold]Zeppelin[/bold] \x1b[31mlands\x1b[0m :smile: \u202eexe.gnp",
    "text": "The [red]zeppelin[/red] landed \x1b[2J\x1b[1;1H in Reykjavik \u202eon Monday\u202c, "
    "[link=https://x.example]they[/link] said.\x07\b\b\b\n\nThe pilot \x9b31m was well.",
    "url": "https://e.example/\x1b[2J]8;;\u2028zeppelin",
    "source": "\x1b]0;pwned\x07Evil [blink]News",
    "author": "A\nB\x1b[5m",
}
ENDLESS = {"id": "endless", "title": "Endless " * 100, "text": f"The word quagga stands before {'x' * 1_000_000}"}


def run(*arguments, cwd, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEARCHSVC_", "FORCE_", "TTY_"))}
    variables = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "searchsvc", *arguments],
        cwd=cwd,
        env=variables | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )


@pytest.fixture
def run_here(monkeypatch, capfd):
    """Run it in this process, which saves the imports: for what needs no streams and signals of its own."""
    on_term = signal.getsignal(signal.SIGTERM)

    def run_here(*arguments, cwd):
        for name in [name for name in os.environ if name.startswith("SEARCHSVC_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.chdir(cwd)
        monkeypatch.setattr("sys.argv", ["searchsvc", *map(os.fsdecode, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return subprocess.CompletedProcess(arguments, end.value.code, *capfd.readouterr())

    yield run_here
    signal.signal(signal.SIGTERM, on_term)


def imported(done):
    return {row.rsplit("|", 1)[1].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with seeds, more news of which some cannot be read, and the index of all of it."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    (folder / "more").mkdir()
    rows = [
        *NEWS,
        HOSTILE,
        ENDLESS,
        {"id": "empty", "title": "No text"},
        {**NEWS[0], "id": "ferry-3", "published": "soon"},
    ]
    (folder / "more" / "news.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "more" / "broken\x1b[2J.json.gz").write_bytes(b"this is no gzip")
    return folder


@pytest.fixture(scope="module")
def indexing(place):
    return run("index", "seeds", "more", "--json", cwd=place)


@pytest.fixture(scope="module")
def built(place, indexing):
    assert indexing.returncode == 4
    return place


@pytest.fixture(scope="module")
def building(tmp_path_factory):
    """The first search of all, which builds the index from the seeds."""
    folder = tmp_path_factory.mktemp("seeded")
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    return folder, run("search", *QUESTION.split(), "--json", "--as-of", "2026-01-31", cwd=folder)


@pytest.fixture(scope="module")
def seeded(building):
    return building[0]


@pytest.fixture(scope="module")
def printed(seeded):
    return run("search", QUESTION, "--explain", cwd=seeded)


def test_of_many_problems_the_first_are_named_and_the_true_number_is_said(tmp_path, run_here):
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "bad.jsonl").write_text("{\n" * 40_000)
    (tmp_path / "news" / "page.html").write_text("<svg><html>")  # at which lxml fails with AssertionError
    (tmp_path / "news" / "good.txt").write_text("A headline\n\nIt rained.")
    done = run_here("index", "news", "--json", cwd=tmp_path)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "Not indexed (40,001):" in done.stderr
    assert "and 39,981 more; --json names the first of each file" in done.stderr
    report = json.loads(done.stdout)
    assert (report["added"], len(report["problems"])) == (1, 22)
    assert sum(problem["count"] for problem in report["problems"] if problem["lost"]) == 40_001


def test_indexing_reports_what_cannot_be_read_by_name_and_indexes_the_rest(indexing):
    report = json.loads(indexing.stdout)
    assert (report["files"], report["added"], len(report["problems"])) == (3, 6, 3)
    assert [problem["lost"] for problem in report["problems"]].count(True) == 2
    assert "Not indexed (2):" in indexing.stderr
    assert "news.jsonl, line 5: no text" in " ".join(indexing.stderr.split())
    assert ".json.gz: the gzip data is damaged" in " ".join(indexing.stderr.split())
    assert "Indexed, but (1):" in indexing.stderr
    assert not HARMFUL.search(indexing.stderr)


def test_indexing_again_finds_nothing_changed(built, run_here):
    done = run_here("index", cwd=built)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Nothing has changed in 1 file \(\d\.\d s\)\.\n", done.stdout)


def test_the_first_hit_answers_with_the_sentence_marked(printed):
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    assert lines[0] == " 1  Putin praises North Korea’s support for Russia’s war against Ukraine"
    assert lines[1] == "    undated"
    marked = re.findall("»(.*?)«", printed.stdout, re.DOTALL)
    assert " ".join(marked[0].split()).startswith(ANSWER)
    assert marked[0].endswith("Sergei Markov.")
    assert "    000_de6a2ec9b66b9b61.txt\n" in printed.stdout


def test_plain_output_is_wrapped_and_has_neither_escape_codes_nor_trailing_spaces(printed):
    assert not HARMFUL.search(printed.stdout)
    assert not [row for row in printed.stdout.splitlines() if len(row) > 80 or row != row.rstrip()]


def test_explain_says_why_in_words(printed):
    # A processor that computes in bfloat16 gives another last figure than one that does not.
    output = " ".join(printed.stdout.split())
    assert re.search(r"Why: its meaning is the question's 1st nearest \(cosine 0\.7[78]\) and adds 0\.3[67];", output)


def test_the_last_line_counts_articles_and_says_the_day(printed):
    last = printed.stdout.splitlines()[-1]
    assert re.fullmatch(r"1 article found in \d+ ms among 1 article \(as of \d{1,2} [A-Z][a-z]+ \d{4}\)", last)


def test_what_is_known_of_an_article_stands_under_its_title(built, run_here):
    done = run_here("search", "ferry", "to", "Hull", "--limit", "1", "--before", "2024-06-18", cwd=built)
    assert done.stdout.splitlines()[:6] == [
        " 1  Storm halts Rotterdam ferry",
        "    Harbour Times · 18 June 2024 · Ann Smit",
        "",
        "    »The ferry from Rotterdam to Hull stayed in the harbour on Tuesday.«",
        "",
        "    A storm made the crossing too dangerous, the company said, and passengers",
    ]
    assert "    https://news.example/ferry-1\n" in done.stdout


def test_a_search_without_an_index_builds_it_from_the_seeds(building):
    folder, done = building
    assert done.returncode == 0
    assert re.search(r"^1 article added, \d passages in ", done.stderr, re.MULTILINE)
    assert (folder / "index" / "catalogue.sqlite3").is_file()


def test_json_is_one_document_with_the_fields_of_the_contract(building):
    found = json.loads(building[1].stdout)
    assert list(found) == [
        "query", "as_of", "took_ms", "index", "period", "confidence", "convincing", "tokens", "hits",
    ]  # fmt: skip
    assert (found["query"], found["as_of"]) == (QUESTION, "2026-01-31T23:59:59Z")
    assert found["index"].keys() == {"generation", "articles", "passages", "updated", "pending"}
    (hit,) = found["hits"]
    assert hit.keys() == {"rank", "score", "article", "passage", "answer", "highlights", "also_in",
                          "text_newer_than_as_of", "why"}  # fmt: skip
    assert hit["article"]["key"] == "000_de6a2ec9b66b9b61.txt"
    assert hit["answer"]["text"].startswith(ANSWER)
    offset = hit["answer"]["start"] - hit["passage"]["start"]
    assert hit["passage"]["text"][offset:].startswith(ANSWER)
    assert hit["why"] is None


@pytest.mark.parametrize(
    ("bounds", "keys"),
    [
        (["--after", "2024-06-19"], {"ferry-2"}),
        (["--before", "2024-06-18"], {"ferry-1"}),
        (["--after=2024-06", "--before=2024"], {"ferry-1", "ferry-2"}),
        (["--source", "Evening Post", "--source", "Nobody"], {"ferry-2"}),
    ],
)
def test_dates_and_sources_narrow_a_search(built, bounds, keys, run_here):
    found = json.loads(run_here("search", "ferry", *bounds, "--json", cwd=built).stdout)
    assert {hit["article"]["key"] for hit in found["hits"]} == keys


@pytest.mark.parametrize(
    ("question", "keys"),
    [
        (["ferry", "after:2024-06-19"], {"ferry-2"}),
        (["ferry", "source:eveningpost"], {"ferry-2"}),
        (['ferry "stayed in the harbour" source:"Harbour Times" before:2024-06-18'], {"ferry-1"}),
        (["ferry -hotels after:2024"], {"ferry-2"}),
    ],
)
def test_operators_in_the_question_narrow_a_search(built, question, keys, run_here):
    found = json.loads(run_here("search", *question, "--json", cwd=built).stdout)
    assert found["query"] == " ".join(question)
    assert {hit["article"]["key"] for hit in found["hits"]} == keys


def test_the_time_that_a_question_names_is_said_and_can_be_taken_away(built, run_here):
    question = ["search", "which", "ferry", "sailed", "on", "21", "June", "2024"]
    done = run_here(*question, cwd=built)
    read_as = "only what was published from 21 June 2024 to 23 June 2024 (“on 21 June 2024”); any time: --no-period"
    assert " ".join(done.stdout.split()).endswith(read_as)
    free = run_here(*question, "--no-period", "--json", cwd=built)
    assert json.loads(free.stdout)["period"] == {"after": None, "before": None, "words": None}
    assert len(json.loads(free.stdout)["hits"]) > len(
        json.loads(run_here(*question, "--json", cwd=built).stdout)["hits"]
    )


def test_what_was_demanded_is_said_where_nothing_is_found(built, run_here):
    done = run_here("search", 'ferry "sailed on" -hull lang:en', cwd=built)
    assert done.returncode == 0
    assert done.stdout.endswith('asked for: language en; "sailed on"; no "hull"\n')


def test_nothing_found_is_said_and_is_no_failure(built, run_here):
    done = run_here("search", "ferry", "--after", "2025-01-01", "--language", "en", cwd=built)
    assert done.returncode == 0
    assert done.stdout.startswith("nothing found in ")
    assert done.stdout.endswith("asked for: published on or after 1 January 2025; language en\n")


def test_a_hostile_article_is_printed_harmlessly(built, run_here):
    done = run_here("search", "zeppelin in Reykjavik", "--limit", "1", cwd=built)
    assert "[bold]Zeppelin[/bold]" in done.stdout
    assert ":smile:" in done.stdout
    assert "[link=https://x.example]they[/link]" in " ".join(done.stdout.split())
    assert not HARMFUL.search(done.stdout)


def test_an_endless_word_is_cut(built, run_here):
    done = run_here("search", "quagga", "--limit", "1", cwd=built)
    assert "»The word quagga stands before" in done.stdout
    assert len(done.stdout) < 5_000
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_question_of_bytes_that_are_no_text_is_answered(built):
    done = run("search", b"ferry \xff\xfe", "--json", "--limit", "1", cwd=built)
    assert done.returncode == 0
    assert json.loads(done.stdout)["query"] == "ferry \ufffd\ufffd"


def test_half_characters_in_articles_and_arguments_are_shown_as_whole_ones(tmp_path, run_here):
    # JSON can spell half a character, "\\ud800"; a byte that is no text comes to Python as one.
    half = {"id": "k\ud800", "title": "Half \ud83d", "text": "The tuna was cut \udc00 in Tokyo.", "source": "S\ud800"}
    (tmp_path / "half.jsonl").write_text(json.dumps(half), encoding="ascii")
    assert run_here("index", "half.jsonl", cwd=tmp_path).returncode == 0
    (hit,) = json.loads(run_here("search", "tuna", "--source", "S\ufffd", "--json", cwd=tmp_path).stdout)["hits"]
    article, passage = hit["article"], hit["passage"]
    assert (article["key"], article["title"], article["source"]) == ("k\ufffd", "Half \ufffd", "S\ufffd")
    assert passage["text"] == "The tuna was cut \ufffd in Tokyo."
    assert run_here("search", "tuna", "--source", b"S\xff", cwd=tmp_path).stdout.startswith(" 1  Half \ufffd\n")
    for arguments, code in ((["rm", b"\xff"], 1), (["search", "x", "--after", b"\xff"], 2), ([b"\xff"], 2)):
        done = run_here(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1)


def test_a_terminal_gets_colour_instead_of_marks(seeded):
    done = run("search", QUESTION, "--limit", "1", cwd=seeded, FORCE_COLOR="1", NO_COLOR="", TERM="xterm-256color")
    assert "»" not in done.stdout
    assert f"\x1b[1;4;32mRussia\x1b[0m\x1b[1;32m{ANSWER.removeprefix('Russia')[:30]}" in done.stdout


def test_no_color_is_honoured_on_a_terminal(seeded):
    done = run("search", QUESTION, "--limit", "1", cwd=seeded, FORCE_COLOR="1", TERM="xterm-256color")
    assert "»Russia is likely" in done.stdout
    assert "\x1b[1;32m" not in done.stdout


def test_a_terminal_gets_a_bar_that_is_gone_when_indexing_ends(tmp_path):
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    near, far = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
    command = [sys.executable, "-m", "searchsvc", "index"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=far, text=True) as indexing:
        os.close(far)
        shown = b""
        while block := _read(near):  # all the while: a terminal that nobody reads is full after a few seconds
            shown += block
        os.close(near)
        assert indexing.stdout is not None
        printed = indexing.stdout.read()
    assert re.match(r"1 article added, \d passages in ", printed)
    assert re.search(r"1 of 1 file, \d passages", shown.decode())
    assert shown.endswith(b"\x1b[2K")


def _read(end):
    try:
        return os.read(end, 65_536)
    except OSError:  # what Linux answers when the other end is closed
        return b""


@pytest.mark.parametrize(
    "command", [["search", "x"], ["status"], ["verify"], ["rebuild"], ["rm", "x"], ["backup", "x"]]
)
def test_without_index_and_seeds_the_exit_code_is_3(tmp_path, command, run_here):
    done = run_here(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(r"searchsvc: there is no index in \S+(,.*)?; searchsvc index PATH… makes one.*\n", done.stderr)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["watch", "there/is/no/such/path"],
        ["backup"],
        ["search"],
        ["search", " "],
        ["search", "x", "--limit", "0"],
        ["search", "x", "--limit", "ten"],
        ["search", "x", "--after", "yesterday"],
        ["search", "x", "--after", "2024-02", "--before", "2024-01"],
        ["search", "x", "--colour"],
        ["search", "x", "--lim", "3"],
        ["status", "--device", "tpu"],
        ["serve", "--port", "99999"],
        ["index", "there/is/no/such/path"],
    ],
)
def test_wrong_use_is_said_in_one_line_and_exits_with_2(tmp_path, arguments, run_here):
    (tmp_path / "seeds").mkdir()
    done = run_here(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"searchsvc: .+\n", done.stderr)
    assert not (tmp_path / "index").exists()


def test_a_misspelt_variable_is_wrong_use(tmp_path):
    done = run("status", cwd=tmp_path, SEARCHSVC_INDX="x")
    assert done.returncode == 2
    assert "there is no setting SEARCHSVC_INDX" in done.stderr


def test_an_option_goes_before_the_environment_on_either_side_of_the_command(tmp_path):
    for arguments in (["--index", "typed", "status"], ["status", "--index", "typed"]):
        assert "/typed;" in run(*arguments, cwd=tmp_path, SEARCHSVC_INDEX="told").stderr
    assert "/told;" in run("status", cwd=tmp_path, SEARCHSVC_INDEX="told").stderr


def test_what_is_wrong_exits_with_1_and_is_json_too_where_that_was_asked_for(built, run_here):
    done = run_here("rm", "no\x1b[2Jsuch", "--json", cwd=built)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "not_found"
    assert done.stderr.count("\n") == 1
    assert not HARMFUL.search(done.stderr)


def test_an_index_that_cannot_be_made_is_said_in_one_line(built, run_here):
    (built / "file").touch()
    done = run_here("index", "--index", "file", cwd=built)
    assert done.returncode == 1
    assert re.fullmatch(r"searchsvc: \S+file: file exists\n", done.stderr)


def test_status_tells_what_is_indexed(built, run_here):
    output = run_here("status", cwd=built).stdout
    rows = dict(row.split(maxsplit=1) for row in output.splitlines())
    assert rows["articles"] == "6"
    assert rows["published"] == "18 June 2024 to 21 June 2024, 4 undated"
    assert rows["sources"].startswith("Harbour Times 2 · ")
    assert rows["model"] == "all-MiniLM-L6-v2, passages of up to 160 tokens"
    assert not HARMFUL.search(output)
    value = json.loads(run_here("status", "--json", cwd=built).stdout)
    assert value.keys() >= {
        "articles", "passages", "generation", "pending", "updated", "model", "bytes_on_disk", "engine",
    }  # fmt: skip


def test_articles_are_taken_out_by_key_and_a_damaged_index_is_found_and_made_anew(built, tmp_path, run_here):
    shutil.copytree(built / "index", tmp_path / "index")
    assert run_here("rm", "ferry-1", "Evening Post", cwd=tmp_path).stdout == "2 articles taken out.\n"
    healthy = "All is well: catalogue, FAISS and tantivy hold the same passages.\n"
    assert run_here("verify", cwd=tmp_path).stdout == healthy + "recall@10 of the dense index, 4 vectors: 1.0000\n"
    well = json.loads(run_here("verify", "--json", cwd=tmp_path).stdout)
    assert well == {"well": True, "problems": [], "recall_at_10": 1.0, "sample": 4}
    for file in (tmp_path / "index" / "local").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damage")
    done = run_here("verify", "--json", cwd=tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["well"], found["recall_at_10"], found["sample"]) == (False, None, 0)
    assert found["problems"] == ["lexical.json cannot be read: Expecting value: line 1 column 1 (char 0)"]
    message = "searchsvc: 1 wrong with the index; searchsvc rebuild makes its search files anew\n"
    assert done.stderr == message
    done = run_here("rebuild", cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"The search files were made anew: \d+ passages\.\n", done.stdout)
    assert run_here("verify", cwd=tmp_path).returncode == 0


def test_a_backup_is_written_while_it_is_searched_and_puts_everything_back(built, tmp_path):
    shutil.copytree(built / "index", tmp_path / "index")
    before = json.loads(run("status", "--json", cwd=tmp_path).stdout)
    done = run("backup", "saved", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    size = r"\d\.\d MB"
    assert re.fullmatch(
        rf"saved holds the whole index \({size}\); searchsvc restore saved puts it back\.\n", done.stdout
    )
    report = json.loads(run("backup", "saved", "--json", cwd=tmp_path).stdout)
    assert report == {"file": "saved", "bytes": (tmp_path / "saved").stat().st_size}
    run("rm", "ferry-1", "Evening Post", cwd=tmp_path)
    done = run("restore", "saved", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"6 articles restored, as they were on \d+ \w+ \d{4}\.\n", done.stdout)
    after = json.loads(run("status", "--json", cwd=tmp_path).stdout)
    changing = {"bytes_on_disk", "unused_bytes"}
    assert {name: after[name] for name in after.keys() - changing} == {
        name: before[name] for name in before.keys() - changing
    }
    assert run("verify", cwd=tmp_path).returncode == 0
    assert json.loads(run("restore", "saved", "--index", "other", "--json", cwd=tmp_path).stdout)["articles"] == 6
    (tmp_path / "note").write_text("not a backup", encoding="utf-8")
    for arguments in (["backup", "note"], ["restore", "note"], ["restore", "nowhere"]):
        done = run(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert (tmp_path / "note").read_text(encoding="utf-8") == "not a backup"


def test_what_is_gone_from_a_folder_is_kept_until_it_is_pruned(tmp_path, run_here):
    news = tmp_path / "news"
    news.mkdir()
    for name in "abc":
        (news / f"{name}.txt").write_text(f"Headline {name}\n\nIt rained in {name}.", encoding="utf-8")
    assert run_here("index", "news", cwd=tmp_path).returncode == 0
    for name in "ab":
        (news / f"{name}.txt").unlink()
    done = run_here("index", "news", cwd=tmp_path)
    assert (done.returncode, done.stdout[:31]) == (4, "Nothing has changed in 1 file (")
    message = f"{news}: 2 of 3 files are gone; what they held is kept. If that is right: searchsvc index --prune {news}"
    assert "".join(done.stderr.split()) == "".join(message.split())
    done = run_here("index", "news", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["kept"]) == (4, [{"folder": str(news), "gone": 2, "known": 3}])
    assert report.keys() >= {"files", "unchanged_files", "added", "changed", "unchanged", "removed", "passages",
                             "embedded", "seconds", "problems", "kept"}  # fmt: skip
    done = run_here("index", "--prune", str(news), cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout[:22]) == (0, "", "2 articles removed in ")
    shutil.rmtree(news)
    done = run_here("index", "news", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["kept"]) == (4, [{"folder": str(news), "gone": 1, "known": 1}])
    assert run_here("index", "nowhere", cwd=tmp_path).returncode == 2
    assert json.loads(run_here("status", "--json", cwd=tmp_path).stdout)["articles"] == 1
    done = run_here("index", "--prune", str(news), cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout[:21]) == (0, "", "1 article removed in ")


def test_another_passage_size_embeds_anew_and_is_kept_from_then_on(built, tmp_path, run_here):
    shutil.copytree(built / "index", tmp_path / "index")
    done = run_here("rebuild", "--passage-tokens", "64", cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"The search files were made anew: [\d,]+ passages\.\n", done.stdout)
    message = "Embedding everything anew with all-MiniLM-L6-v2, passages of 64 tokens; the old index serves."
    assert " ".join(done.stderr.split()) == message
    assert json.loads(run_here("status", "--json", cwd=tmp_path).stdout)["passage_tokens"] == 64
    assert run_here("verify", cwd=tmp_path).returncode == 0
    (hit, *_) = json.loads(run_here("search", "ferry to Hull", "--json", cwd=tmp_path).stdout)["hits"]
    assert hit["article"]["key"] in {"ferry-1", "ferry-2"}


def test_what_was_committed_is_kept_when_stopped(tmp_path):
    words = "The mayor of the town opened the new bridge over the river on"
    news = ({"id": f"n{n}", "title": f"Bridge {n}", "text": f"{words} day {n}."} for n in range(9_000))
    (tmp_path / "news.jsonl").write_text("\n".join(map(json.dumps, news)), encoding="utf-8")
    # Where tests run in the background, a child would ignore the signal.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from searchsvc.__main__ import main; main()"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, "index", "news.jsonl", "--json"]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=out, stderr=err)
        while process.poll() is None and not _articles(tmp_path):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 130
    assert (tmp_path / "out").read_text(encoding="utf-8") == ""
    assert (tmp_path / "err").read_text(encoding="utf-8").endswith("searchsvc: stopped; what was committed is kept\n")
    assert 0 < _articles(tmp_path) < 9_000


def _articles(folder):
    catalogue = folder / "index" / "catalogue.sqlite3"
    if not catalogue.is_file():
        return 0
    with closing(sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)) as db:
        try:
            return db.execute("SELECT count(*) FROM articles").fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            return 0


def test_a_reader_that_leaves_early_is_no_failure(built):
    program = f"{sys.executable} -m searchsvc search {QUESTION} --json 2>&1 >&3 3>&- | cat >&2"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    out, into = os.pipe()
    os.close(out)
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&{into}; {program}; exit ${{PIPESTATUS[0]}}"],
        cwd=built, env=environ, stderr=subprocess.PIPE, pass_fds=[into], check=False, timeout=300,
    )  # fmt: skip
    os.close(into)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_search_imports_no_torch(built):
    done = run("search", "ferry", cwd=built, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "searchsvc.search.pipeline" in imported(done)
    assert not {"torch", "transformers", "sentence_transformers", "dateparser", "fastapi"} & imported(done)


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["--version"]])
def test_help_needs_nothing_but_the_standard_library(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "searchsvc" in done.stdout
    assert not {"numpy", "faiss", "rich", "openvino", "tokenizers", "tantivy", "sqlite3"} & imported(done)


def test_the_version_is_that_of_the_project(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] + "+source" == FROM_SOURCE
    assert run("--version", cwd=tmp_path).stdout == f"searchsvc {__version__}\n"
    assert __version__ in {project["version"], FROM_SOURCE}


def test_every_setting_is_an_option(tmp_path):
    output = "".join(run(command, "--help", cwd=tmp_path).stdout for command in ("index", "serve"))
    options = {one.name: f"--{one.name.replace('_', '-')} " for one in fields(Settings)}
    options["hostnames"] = "--hostname "  # repeatable, each time one
    assert not [name for name, option in options.items() if option not in output]
