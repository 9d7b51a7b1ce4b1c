"""Health: what fails is said where people and programs look, is tried again, and stops nothing else."""

import itertools
import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from searchsvc.catalogue import FeedState
from searchsvc.catalogue.health import Health, pause_after
from searchsvc.catalogue.lock import ProcessMarker
from searchsvc.errors import Busy, ModelMismatch
from searchsvc.ingest.report import Report
from searchsvc.interfaces.http.metrics import KINDS
from searchsvc.library import Library
from searchsvc.service.jobs import WatchProcess
from searchsvc.service.sync import sync
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle, public_address

Site = Any  # see conftest
Open = Callable[[], Library]

PATIENCE = 60.0  # seconds after which what should happen counts as not happening


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def library(open_library: Open) -> Library:
    library = open_library()
    library.begin()
    return library


def story(number: int, text: str = "") -> RawArticle:
    return RawArticle(key=f"story {number}", title=f"Story {number}", text=text or f"Quagga number {number} was seen.")


def failing(library: Library) -> dict[str, tuple[int, str]]:
    return {part.name: (part.failures, part.message) for part in library.status().parts}


# ---------------------------------------------------------------------- how long to wait


def test_each_failure_in_a_row_is_waited_for_twice_as_long_up_to_a_bound() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 10_000)] == [5, 10, 20, 40, 60, 60, 60]


# ---------------------------------------------------------------------- what is on record


@contextmanager
def another_process(index: Path, do: str) -> Iterator["subprocess.Popen[str]"]:
    """Run some lines with the `library` of this index in another process, which then waits until it is killed."""
    script = f"""
import sys
from pathlib import Path
from searchsvc.library import Library
from searchsvc.settings import Settings
library = Library(Settings(index=Path({str(index)!r})))
{do}
sys.stdout.write("done\\n")
sys.stdout.flush()
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "done\n"
            yield other
        finally:
            other.kill()


def test_what_fails_in_a_process_is_seen_in_others_as_long_as_it_runs(library: Library) -> None:
    library.health.failed("files", Busy("process 7 is writing", "try again"))
    do = "library.health.failed('feed https://news.example/rss', 'answered 500', pause=900, failures=3)"
    with another_process(library.folder, do):
        (mine, theirs) = library.status().parts
        assert (mine.name, mine.failures, mine.message) == ("files", 1, "process 7 is writing; try again")
        assert mine.next_try - mine.since == timedelta(seconds=5)
        assert (theirs.name, theirs.failures, theirs.message) == ("feed https://news.example/rss", 3, "answered 500")
        assert theirs.next_try - theirs.since == timedelta(seconds=900)
    assert set(failing(library)) == {"files"}  # whatever it left on record
    library.health.well("files")
    assert failing(library) == {}
    assert library.catalogue.failing_parts.all() == []


def test_only_what_changes_is_written(library: Library) -> None:
    other = sqlite3.connect(library.folder / "catalogue.sqlite3")

    def version() -> int:
        return int(other.execute("PRAGMA data_version").fetchone()[0])

    seen = [version()]
    library.health.well("files")
    seen.append(version())
    library.health.failed("files", "broken")
    seen.append(version())
    library.health.well("files")
    seen.append(version())
    library.health.well("files")
    seen.append(version())
    other.close()
    assert [now != before for before, now in itertools.pairwise(seen)] == [False, True, True, False]


def test_what_nobody_foresaw_is_logged_once_with_its_trace_and_its_text_is_not_shown(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        try:
            raise ZeroDivisionError("secret")
        except ZeroDivisionError as fault:
            library.health.failed("files", fault)
    assert failing(library) == {"files": (3, "an unexpected ZeroDivisionError, whose traceback is in the log")}
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert logged.levelno == logging.WARNING
    library.health.well("files")
    assert [record.getMessage() for record in caplog.records][-1] == "files: well again"


def test_where_the_index_lies_is_not_shown(library: Library) -> None:
    library.health.failed("jobs", Busy(f"another process holds the catalogue {library.folder}/catalogue.sqlite3"))
    assert failing(library) == {"jobs": (1, "another process holds the catalogue index/catalogue.sqlite3")}


def test_what_cannot_be_put_on_record_is_known_here_and_put_there_later(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchsvc.catalogue.connection.PATIENCE", 0.05)
    fresh = Library(library.settings)
    held = sqlite3.connect(library.folder / "catalogue.sqlite3", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    fresh.health.failed("files", "broken")
    assert failing(fresh) == {"files": (1, "broken")}
    assert failing(library) == {}
    held.execute("ROLLBACK")
    held.close()
    fresh.health.well("near-duplicates")
    assert failing(library) == {"files": (1, "broken")}


def test_without_an_index_nothing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    health = Health(folder, ProcessMarker(folder), lambda: None)
    health.failed("watch", "was ended by SIGKILL")
    assert [part.name for part in health.parts()] == ["watch"]
    assert not folder.exists()


def test_a_process_is_present_until_it_ends_however_it_does(library: Library) -> None:
    presence = ProcessMarker(library.folder)
    with another_process(library.folder, "library.process.name()"):
        pass
    names = [file.name for file in (library.folder / "processes").iterdir()]
    assert len(names) == 1
    assert not presence.is_running(names[0])
    assert list((library.folder / "processes").iterdir()) == []
    with another_process(library.folder, "library.process.name()"):
        (file,) = (library.folder / "processes").iterdir()
        assert presence.is_running(file.name)
    assert presence.is_running(presence.name())
    assert not any(presence.is_running(name) for name in ("", "none", "../catalogue.sqlite3"))


# ---------------------------------------------------------------------- files and feeds

RSS = """<rss version="2.0"><channel><title>Post</title><item><guid>https://news.example/{name}</guid>
<title>The {name}</title><description>{text}</description></item></channel></rss>"""


@contextmanager
def following(library: Library, *sources: Path | str) -> Iterator[list[Report]]:
    stop, told, met = threading.Event(), list[Report](), list[Exception]()

    def run() -> None:
        try:
            sync(library, sources, stop, told.append)
        except Exception as fault:  # noqa: BLE001  raised below
            met.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for fault in met:
        raise fault


def keys(library: Library, question: str) -> set[str]:
    return {hit.article.key for hit in library.search(question).hits}


def test_a_feed_that_meets_what_nobody_foresaw_stops_neither_the_files_nor_other_feeds(
    site: Site, tmp_path: Path, library: Library
) -> None:
    class Broken(Library):
        def index(self, sources: Any, *args: Any, **named: Any) -> Report:
            if sources == [f"{site.url}/bad"]:
                raise AssertionError("of a library")
            return super().index(sources, *args, **named)

    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "okapi.txt").write_text("An okapi\n\nAn okapi was born in Basel.")
    site.page("/good", RSS.format(name="comet", text="A comet was seen over Lima."), "application/rss+xml")
    broken = Broken(Settings(index=library.folder, private_networks="allow"))
    with following(broken, f"{site.url}/bad", tmp_path / "news", f"{site.url}/good"):
        until(lambda: keys(library, "okapi comet") >= {"okapi.txt", "https://news.example/comet"})
        name, (failures, message) = until(lambda: failing(library)).popitem()
        assert (name, failures) == (f"feed {site.url}/bad", 1)
        assert message == "an unexpected AssertionError, whose traceback is in the log"
        (part,) = library.status().parts
        assert part.next_try - part.since == timedelta(minutes=15)  # no more requests than before
        (tmp_path / "news" / "zebra.txt").write_text("A zebra\n\nA zebra was seen in Bern.")
        until(lambda: "zebra.txt" in keys(library, "zebra"))
    assert set(failing(library)) == {f"feed {site.url}/bad"}


def test_a_feed_that_cannot_be_had_is_failing_until_it_can(site: Site, library: Library) -> None:
    allowed = Library(Settings(index=library.folder, private_networks="allow"))
    url = f"{site.url}/rss?token=secret"
    site.page("/rss?token=secret", "", status=404)
    with following(allowed, url):
        until(lambda: failing(library) == {f"feed {public_address(url)}": (1, "answered 404")})
        (part,) = library.status().parts
        assert timedelta(minutes=14) < part.next_try - part.since < timedelta(minutes=16)
    again = Library(Settings(index=library.folder, private_networks="allow"))
    with following(again, url):  # another process, before the feed's time has come
        until(
            lambda: failing(again) == {f"feed {public_address(url)}": (1, "could not be read when it was last asked")}
        )
    site.page("/rss?token=secret", RSS.format(name="comet", text="A comet was seen."), "application/rss+xml")
    with library.catalogue.writing() as writer:
        writer.feeds.set_state(url, FeedState(failures=1, next_at=datetime.now(UTC)))
    last = Library(allowed.settings)
    with following(last, url):
        until(lambda: keys(library, "comet"))
    assert keys(library, "comet") == {"https://news.example/comet"}
    assert last.health.own() == ()


@pytest.mark.parametrize(
    "said",
    [
        "Mon, 01 Jan 99999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
        "Mon, 01 Jan 2024 99999999999999:00:00 GMT",
        "99999999999999",
        "9" * 4_000,
    ],
)
def test_a_feed_whose_server_names_a_time_beyond_dates_is_asked_again(site: Site, library: Library, said: str) -> None:
    site.page("/rss", "", status=410, Retry_After=said)
    allowed = Library(Settings(index=library.folder, private_networks="allow"))
    report = allowed.index([f"{site.url}/rss"])
    assert [problem.reason for problem in report.problems] == ["answered 410"]
    state = library.catalogue.feeds.state(f"{site.url}/rss")
    assert state.failures == 1
    assert state.next_at is not None
    assert state.next_at < datetime.now(UTC) + timedelta(days=7, minutes=1)


def test_whatever_the_files_meet_they_are_looked_at_again(tmp_path: Path, library: Library) -> None:
    class Broken(Library):
        met = 0

        def index(self, *args: Any, **named: Any) -> Report:
            self.met += 1
            if self.met == 1:
                raise OverflowError("of a library")
            return super().index(*args, **named)

    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "okapi.txt").write_text("An okapi\n\nAn okapi was born in Basel.")
    broken = Broken(library.settings)
    with following(broken, tmp_path / "news"):
        until(lambda: "files" in failing(library))
        until(lambda: keys(library, "okapi") == {"okapi.txt"})
        until(lambda: failing(library) == {})


def test_what_is_wrong_from_the_start_and_no_waiting_mends_is_raised(tmp_path: Path, library: Library) -> None:
    class Mismatched(Library):
        def index(self, *_: Any, **__: Any) -> Report:
            raise ModelMismatch("the index was made with another model")

    with pytest.raises(ModelMismatch), following(Mismatched(library.settings), tmp_path):
        time.sleep(0.2)


def test_nobody_who_listens_ends_it(site: Site, library: Library) -> None:
    site.page("/rss", RSS.format(name="comet", text="A comet was seen."), "application/rss+xml")
    allowed = Library(Settings(index=library.folder, private_networks="allow"))

    def hang_up(_: Report) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        sync(allowed, [f"{site.url}/rss"], threading.Event(), hang_up)


def test_a_feed_is_named_without_what_may_be_a_password() -> None:
    assert public_address("https://news.example:8443/rss.xml") == "https://news.example:8443/rss.xml"
    for url in ("https://me:secret@news.example/rss", "https://news.example/rss?key=secret"):
        assert public_address(url).startswith("https://news.example/rss?…")
        assert "secret" not in public_address(url)
    assert public_address("https://news.example/rss?a=1") != public_address("https://news.example/rss?a=2")
    assert public_address("http://[") == "an address that cannot be read"


# ---------------------------------------------------------------------- what is done to articles


def test_an_article_that_a_library_fails_on_costs_itself_alone(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchsvc.ingest import prepare

    clean = prepare.clean

    def fails(title: str, text: str) -> Any:
        assert "cursed" not in text
        return clean(title, text)

    monkeypatch.setattr(prepare, "clean", fails)
    file = tmp_path / "news.jsonl"
    texts = ("An okapi was born.", "This one is cursed.", "A zebra was seen.")
    file.write_text("".join(json.dumps({"key": text[:8], "text": text}) + "\n" for text in texts))
    report = library.index([file])
    assert (report.added, report.lost) == (2, 1)
    (problem,) = report.problems
    assert problem.reason.startswith("it could not be cleaned and split (AssertionError")
    assert keys(library, "okapi zebra") == {"An okapi", "A zebra"}


def test_an_article_whose_copies_cannot_be_looked_for_keeps_no_others_from_being_found(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from searchsvc.ingest import near_duplicates as folding

    bands = folding.bands

    def fails(told: Any) -> Any:
        assert "cursed" not in told.text
        return bands(told)

    monkeypatch.setattr(folding, "bands", fails)
    places = ("Basel", "Bern", "Lima", "Oslo", "Quito", "Riga", "Seoul", "Turin", "Vienna", "Zagreb", "Accra", "Cairo")
    text = " ".join(f"In {place}, engineer number {n} looked at a bridge." for n, place in enumerate(places))
    cursed = story(2, "This story is cursed. It is about a bridge.")
    library.add([replace(story(1, text), title="Bridges"), cursed, replace(story(3, text), title="Bridges")])
    assert keys(library, "cursed") >= {"story 2"}
    assert {"story 1", "story 3"} & {one.key for hit in library.search("bridge").hits for one in hit.also_in}
    assert not library.catalogue.near_duplicates.to_compare(1)
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_articles_are_searchable_though_folding_and_recutting_fail(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("of a library")

    with monkeypatch.context() as broken:
        broken.setattr("searchsvc.library.index.find_near_duplicates", fails)
        broken.setattr("searchsvc.ingest.resplit.Resplit.run", fails)
        assert library.add([story(1)]).added == 1
        assert keys(library, "quagga") == {"story 1"}
        assert set(failing(library)) == {"near-duplicates", "resplitting"}
        assert library.index([]).added == 0  # and does not try for ever
    assert library.catalogue.near_duplicates.to_compare(1)
    later = Library(library.settings)  # which need not wait
    later.add([story(2)])
    assert not library.catalogue.near_duplicates.to_compare(1)


# ---------------------------------------------------------------------- a server


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_status_does_and_what_was_served(library: Library, serving: Any) -> None:
    library.add([story(number) for number in range(3)])
    library.health.failed("feed https://me.example/secret", "answered 500")
    with serving(library) as client:
        for question in ("quagga secret", "number", ""):
            client.get("/search", params={"q": question})
        client.get("/there/is/secret")
        client.request("PUT", "/search")
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "secret" not in answer.text
        found = samples(answer.text)
        status = client.get("/status").json()
    names = {
        "articles": "articles",
        "passages": "passages",
        "generation": "generation",
        "pending": "pending_changes",
    }
    assert {name: found["searchsvc_" + metric, ()] for name, metric in names.items()} == {
        name: status[name] for name in names
    }
    assert found["searchsvc_index_readable", ()] == 1
    assert found["searchsvc_jobs_running", ()] == 0
    searches = {labels: value for (name, labels), value in found.items() if name == "searchsvc_requests_total"}
    assert searches == {
        (("method", "GET"), ("route", "/search"), ("status", "200")): 2,
        (("method", "GET"), ("route", "/search"), ("status", "422")): 1,
        (("method", "GET"), ("route", "none"), ("status", "404")): 1,
        (("method", "other"), ("route", "/search"), ("status", "405")): 1,
    }
    assert found["searchsvc_request_seconds_count", (("route", "/search"),)] == 4
    parts = {dict(labels)["part"]: value for (name, labels), value in found.items() if "parts_failing" in name}
    assert parts == {**dict.fromkeys(KINDS, 0), "feed": 1}


def test_metrics_are_told_without_an_index(tmp_path: Path, serving: Any) -> None:
    with serving(Library(Settings(index=tmp_path / "index"))) as client:
        found = samples(client.get("/metrics").raise_for_status().text)
    assert found["searchsvc_index_readable", ()] == 0
    assert ("searchsvc_articles", ()) not in found


def test_a_model_that_fails_for_no_known_reason_is_not_said_to_be_loading(library: Library, serving: Any) -> None:
    class Broken(Library):
        @property
        def embedder(self) -> Any:
            raise RuntimeError("of a library")

    with serving(Broken(library.settings)) as client:
        fault = until(lambda: (answer := client.get("/readyz").json()["error"])["code"] != "loading" and answer)
        assert fault["code"] == "model_failed"
        assert fault["message"].endswith("an unexpected RuntimeError")
        assert client.get("/healthz").json() == {"alive": True}
        status = client.get("/status").json()
    assert (status["health"], [part["name"] for part in status["parts"]]) == ("failing", ["warming"])


def test_a_watch_that_keeps_ending_is_started_again_and_said_by_other_processes(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho x >> {tmp_path / 'starts'}\n[ -e {tmp_path / 'steady'} ] && cat\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nonesuch"))
    with WatchProcess(library, [str(tmp_path)], steady=0.3):
        until(lambda: failing(library) == {"watch": (1, "no such file or directory")})
        until(lambda: failing(Library(library.settings)) == {"watch": (1, "no such file or directory")})
        monkeypatch.setattr(sys, "executable", str(program))
        until(lambda: failing(library)["watch"] == (2, "searchsvc watch ended with 3; the server's log may say more"))
        assert (tmp_path / "starts").read_text() == "x\n"  # and after ten seconds once more
    with WatchProcess(Library(library.settings), [str(tmp_path)], steady=0.3) as again:
        (tmp_path / "steady").touch()
        assert again
        until(lambda: (tmp_path / "starts").read_text().count("x") >= 2)


def test_what_a_page_says_moves_no_cursor_in_the_log(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    library.health.failed("feed", "the feed that it names is http://x/\x1b]0;PWNED\x07\x1b[31m\u202e")
    assert [part.message for part in library.health.own()] == ["the feed that it names is http://x/ ]0;PWNED [31m"]
    assert "\x1b" not in caplog.text
