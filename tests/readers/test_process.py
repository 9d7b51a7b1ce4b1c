"""Reader processes: what hangs, crashes or takes all memory costs one file, and nothing is left behind."""

import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import searchsvc
from searchsvc.catalogue import FeedState
from searchsvc.errors import Unreadable
from searchsvc.ingest.feeds import News, Poll
from searchsvc.ingest.fetching import Fetcher
from searchsvc.library import Library
from searchsvc.readers import READERS, read
from searchsvc.readers.feed_entries import FeedEntry
from searchsvc.readers.messages import End, Failed, Message, Request, deserialize, serialize
from searchsvc.readers.process import ReaderProcesses, memory_for
from searchsvc.settings import Settings
from searchsvc.text.article import Problem, RawArticle

Site = Any  # see conftest
Words = Any

LIMIT = 1_000_000
ROOT = Path(searchsvc.__file__).parent.parent
PAGE = f"<html><head><title>Rain</title></head><body><article>{'<p>It rained all day, and nobody knew why.</p>' * 3}"
HARMFUL = "<svg><html>"  # at which lxml fails with AssertionError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="processes are looked at through /proc")


@pytest.fixture
def processes() -> ReaderProcesses:
    return ReaderProcesses(60, memory_for(LIMIT))


@pytest.fixture
def hasty() -> ReaderProcesses:
    """Reader processes that are waited for no longer than it takes to start one and to read something small."""
    return ReaderProcesses(2, memory_for(LIMIT))


EARLIER: set[int] = set()  # reader processes of libraries that earlier tests left to the garbage collector


@pytest.fixture(autouse=True)
def _earlier() -> None:
    EARLIER.clear()
    EARLIER.update(readers_of(os.getpid()))


def readers_of(owner: int) -> list[int]:
    """Return the reader processes that a process has, without those that it had before the test."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == owner and b"searchsvc.readers.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # gone meanwhile
    return [one for one in found if one not in EARLIER]


def only_reader(owner: int = os.getpid()) -> int:
    (reader,) = readers_of(owner)
    return reader


def wait_until(happened: Callable[[], object], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not (done := bool(happened())) and time.monotonic() < end:
        time.sleep(0.01)
    return done


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def endless(path: Path) -> Path:
    """Write a small file that takes minutes to read, whatever reads it: a thousand million empty lines."""
    path.write_bytes(gzip.compress(b"\n" * 10_000_000) * 100)
    return path


def lines(path: Path, count: int, length: int = 10) -> Path:
    path.write_text(
        "".join(json.dumps({"id": f"{n}", "text": f"{'It rained. ' * length}"}) + "\n" for n in range(count))
    )
    return path


def reasons(found: list[RawArticle | Problem]) -> list[str]:
    return [one.reason for one in found if isinstance(one, Problem)]


# Messages

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates, and pairs of them, too
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])
MOMENTS = st.none() | st.datetimes(timezones=ZONES).map(lambda moment: moment.replace(fold=0))
MAYBE = st.none() | ANY_TEXT
ARTICLES = st.builds(
    RawArticle, ANY_TEXT, ANY_TEXT, ANY_TEXT, MAYBE, MAYBE, MAYBE, MOMENTS, MAYBE, MAYBE
)  # fmt: skip
ENTRIES = st.builds(
    FeedEntry, ANY_TEXT, ANY_TEXT, ANY_TEXT, st.booleans(), MAYBE, MAYBE, MAYBE, MOMENTS, MOMENTS, MAYBE, MAYBE
)
PROBLEMS = st.builds(Problem, ANY_TEXT, ANY_TEXT, st.booleans(), st.integers(1, 2**40))


@given(ARTICLES | ENTRIES | PROBLEMS | st.builds(Failed, ANY_TEXT) | st.builds(End, st.booleans()))
def test_what_passes_between_processes_is_one_line_and_comes_out_as_it_went_in(message: Message) -> None:
    line = serialize(message)
    assert line.index(b"\n") == len(line) - 1
    assert deserialize(line) == message
    assert repr(deserialize(line)) == repr(message)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'["Article"]\n', b'["os.system", "true"]\n', b'["End", 1, 2]\n'])
def test_nothing_else_is_a_message(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        deserialize(line)


# What is read is what is read in this process


def test_a_process_reads_what_the_readers_read(tmp_path: Path, processes: ReaderProcesses) -> None:
    (tmp_path / "a.txt").write_text("A headline\n\nIt rained.")
    (tmp_path / "b.html").write_text(PAGE)
    (tmp_path / "c.md").write_text("---\ndate: yesterday\n---\n# T\n\nIt *rained*.")
    record = {"id": 7, "text": "It rained \ud83d\ude00 \u2028.", "date": "2024-06-18T07:30:00.123456+02:00"}
    (tmp_path / "d.jsonl").write_text(f"{json.dumps(record)}\n{{\n")
    (tmp_path / "e.csv").write_text("title,text,date\nT,It rained.,31/31/2024\n")
    (tmp_path / "f.rss").write_text("<rss><channel><item><guid>1</guid><description>It rained.</description></item>")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/g\xff.txt")).write_text("It snowed.")
    (tmp_path / "h.txt").write_bytes(bytes(range(256)))
    paths = [*sorted(tmp_path.iterdir()), tmp_path / "nowhere.txt"]
    assert len(paths) == 9
    for path in paths:
        found = list(processes.read(path, path.name, LIMIT))
        assert found == list(read(path, path.name, LIMIT))
        assert found
    assert len(readers_of(os.getpid())) == 1


def test_a_process_holds_nothing_of_its_owner_and_has_limits(tmp_path: Path, processes: ReaderProcesses) -> None:
    lock = (tmp_path / "writer.lock").open("w")
    with lock, socket.create_server(("127.0.0.1", 0)) as server:
        os.set_inheritable(lock.fileno(), True)
        os.set_inheritable(server.fileno(), True)
        list(processes.read(lines(tmp_path / "a.jsonl", 1), "a", LIMIT))
        reader = only_reader()
        held = [str(one.readlink()) for one in Path(f"/proc/{reader}/fd").iterdir()]
    stderr = str(Path("/proc/self/fd/2").readlink())
    assert {one.partition(":")[0] for one in held if one != stderr} == {"pipe"}
    assert resource.prlimit(reader, resource.RLIMIT_CORE) == (0, 0)
    assert resource.prlimit(reader, resource.RLIMIT_AS) == (memory_for(LIMIT),) * 2


def test_modules_that_lie_with_the_news_are_not_run(tmp_path: Path) -> None:
    for name in ("json", "csv", "lxml", "queue"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('was-run').touch()")
    lines(tmp_path / "a.jsonl", 3)
    program = """from pathlib import Path; from searchsvc.readers.process import *
print(sum(1 for _ in ReaderProcesses(60, 10**10).read(Path("a.jsonl").resolve(), "a", 10**6)))"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert not (tmp_path / "was-run").exists()


# What goes wrong with one file


def failing(error: Exception) -> Callable[[Path, str, int], Iterator[RawArticle | Problem]]:
    def reader(_path: Path, key: str, _limit: int) -> Iterator[RawArticle | Problem]:
        yield RawArticle(key, "", "It rained.")
        raise error

    return reader


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError("Tree has no root"), "AssertionError: Tree has no root"),
        (MemoryError(), "MemoryError"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff"),
        (KeyError("x" * 10_000_000), "KeyError: 'xxx"),
    ],
)
def test_whatever_a_library_raises_is_one_problem_and_what_came_before_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setitem(READERS, ".txt", failing(error))
    (tmp_path / "a.txt").write_text("It rained.")
    article, problem = read(tmp_path / "a.txt", "a.txt", LIMIT)
    assert article == RawArticle("a.txt", "", "It rained.")
    assert isinstance(problem, Problem)
    assert problem.reason.startswith(f"the reader failed ({said}")


def test_a_page_at_which_a_library_fails_is_a_problem_and_no_end(tmp_path: Path, processes: ReaderProcesses) -> None:
    (tmp_path / "a.html").write_text(HARMFUL)
    (problem,) = processes.read(tmp_path / "a.html", "a.html", LIMIT)
    assert isinstance(problem, Problem)
    assert problem.lost
    list(processes.read(lines(tmp_path / "b.jsonl", 1), "b", LIMIT))
    only_reader()


@pytest.mark.serial
def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_read(tmp_path: Path, hasty: ReaderProcesses) -> None:
    slow, good = endless(tmp_path / "a.jsonl.gz"), lines(tmp_path / "b.jsonl", 5)
    assert len(list(hasty.read(good, "b", LIMIT))) == 5
    reader = only_reader()
    said = "reading took more than 2 seconds; it is read again when it has changed"
    assert list(hasty.read(slow, "a", LIMIT)) == [Problem(str(slow), said)]
    assert is_gone(reader)
    assert len(list(hasty.read(good, "b", LIMIT))) == 5


@pytest.mark.parametrize(
    ("ended_by", "said"),
    [
        (signal.SIGSTOP, "reading took more than 2 seconds"),
        (signal.SIGSEGV, "the process that read it was ended by SIGSEGV"),
        (signal.SIGKILL, "the process that read it was ended by SIGKILL, perhaps for want of memory"),
    ],
)
def test_of_a_file_at_which_the_reader_stops_or_dies_what_came_before_is_kept(
    tmp_path: Path, hasty: ReaderProcesses, ended_by: signal.Signals, said: str
) -> None:
    large = lines(tmp_path / "a.jsonl", 2_000, length=100)
    found = iter(hasty.read(large, "a", LIMIT))
    before = [next(found)]
    os.kill(only_reader(), ended_by)
    *after, problem = found
    assert [one.key for one in (*before, *after) if isinstance(one, RawArticle)] == [
        f"{n}" for n in range(1 + len(after))
    ]
    assert len(after) < 1_000  # as many as the pipe holds: who reads waits for who writes
    assert problem == Problem(str(large), f"{said}; it is read again when it has changed")
    assert len(list(hasty.read(large, "a", LIMIT))) == 2_000


@pytest.mark.serial
def test_only_the_wait_for_the_next_article_counts(tmp_path: Path, hasty: ReaderProcesses) -> None:
    found = []
    for one in hasty.read(lines(tmp_path / "a.jsonl", 400, length=100), "a", LIMIT):
        found.append(one)
        if len(found) == 100:
            time.sleep(2.2)
    assert (len(found), reasons(found)) == (400, [])


def test_a_file_that_takes_all_memory_is_a_problem(tmp_path: Path) -> None:
    greedy = tmp_path / "a.json"
    greedy.write_text('[{"text": "It rained."}, {"text": "x", "tags": [' + ",".join(["[]"] * 3_000_000) + "]}]")
    processes = ReaderProcesses(60, 150_000_000)
    found = list(processes.read(greedy, "a", 10_000_000))
    assert found[0] == RawArticle("a#1", "", "It rained.")
    assert reasons(found) == ["the reader failed (MemoryError)"]
    assert len(list(processes.read(lines(tmp_path / "b.jsonl", 5), "b", LIMIT))) == 5


# The end


def test_a_process_ends_with_what_uses_it(tmp_path: Path) -> None:
    processes = ReaderProcesses(60, memory_for(LIMIT))
    list(processes.read(lines(tmp_path / "a.jsonl", 1), "a", LIMIT))
    reader = only_reader()
    del processes
    assert readers_of(os.getpid()) == []
    assert is_gone(reader)


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_owner_that_is_ended_leaves_no_process_behind(tmp_path: Path, ended_by: signal.Signals) -> None:
    endless(tmp_path / "a.jsonl.gz")
    # Whoever runs the tests in the background lets SIGINT be ignored.
    program = f"""import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path; from searchsvc.readers.process import *
list(ReaderProcesses(60, 10**10).read(Path({str(tmp_path / "a.jsonl.gz")!r}), "a", 10**6))"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL) as owner:
        try:
            assert wait_until(lambda: readers_of(owner.pid))
            reader = only_reader(owner.pid)
            ticks = lambda: int(Path(f"/proc/{reader}/stat").read_text().rpartition(")")[2].split()[11])  # noqa: E731
            assert wait_until(lambda: ticks() > 20)  # it reads
            owner.send_signal(ended_by)
            assert owner.wait(20) != 0
        finally:
            owner.kill()
    assert wait_until(lambda: is_gone(reader))


def test_a_process_whose_owner_cannot_end_it_ends_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "searchsvc.readers.worker", "0.2", str(memory_for(LIMIT))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **pipes) as reader:
        assert reader.stdin is not None
        slow = endless(tmp_path / "a.jsonl.gz")
        reader.stdin.write(serialize(Request("file", path=str(slow), key="a", limit=LIMIT)))
        reader.stdin.flush()
        try:
            assert reader.wait(30) == -signal.SIGALRM
        finally:
            reader.kill()


# All that reads goes through it


@pytest.mark.usefixtures("words")
def test_a_hanging_a_crashing_and_a_good_file_of_one_folder(tmp_path: Path) -> None:
    news = tmp_path / "news"
    news.mkdir()
    slow = endless(news / "a.jsonl.gz")
    (news / "b.html").write_text(HARMFUL)
    (news / "c.txt").write_text("A headline\n\nIt rained all day.")
    settings = Settings(index=tmp_path / "index", reading_seconds=1)
    library = Library(settings)
    report = library.index([news])
    assert (report.added, report.lost) == (1, 2)
    assert [problem.where for problem in report.problems] == [str(slow), str(news / "b.html")]
    assert library.search("rained").hits[0].article.key == "c.txt"
    # It is not tried again, nor is a process started where nothing is to be read.
    before = set(readers_of(os.getpid()))
    library = Library(settings)
    again = library.index([news])
    assert (again.unchanged_files, again.lost, again.problems) == (3, 2, report.problems)
    assert set(readers_of(os.getpid())) <= before
    slow.write_bytes(gzip.compress(json.dumps({"text": "It snowed."}).encode()))
    report = library.index([news])
    assert (report.added, report.lost) == (1, 1)


def test_a_linked_page_at_which_a_library_fails_costs_its_entry_alone(site: Site, processes: ReaderProcesses) -> None:
    items = "".join(f"<item><guid>{n}</guid><link>/{n}</link></item>" for n in range(2))
    site.page("/feed", f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>", "application/rss+xml")
    site.page("/0", HARMFUL)
    site.page("/1", PAGE)
    failed, good = polled(site, processes)
    assert (failed.article, [problem.lost for problem in failed.problems]) == (None, [True])
    assert failed.digest  # it is not asked for again before the entry changes
    assert good.article is not None


def test_a_process_that_does_not_take_a_page_is_late_and_not_out_of_memory() -> None:
    readers = ReaderProcesses(2.0, memory_for(LIMIT))
    assert list(readers.article_on(PAGE.encode(), "", "https://a.example/1"))
    (idle,) = readers._idle
    os.kill(idle._process.pid, signal.SIGSTOP)
    with pytest.raises(Unreadable, match=r"^reading took more than 2 seconds$"):  # the page does not fit into a pipe
        list(readers.article_on(PAGE.encode() + b" " * 1_000_000, "", "https://a.example/2"))


def test_a_feed_or_page_that_takes_too_long_is_one_that_cannot_be_used(site: Site) -> None:
    impatient = ReaderProcesses(0.01, memory_for(LIMIT))  # too short for the libraries to be loaded
    with pytest.raises(Unreadable, match=r"^reading took more than 0\.01 seconds$"):
        list(impatient.article_on(PAGE.encode(), "", f"{site.url}/1"))
    items = "<item><description>&lt;p&gt;It rained.&lt;/p&gt;</description></item>" * 20_000
    site.page("/feed", f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>", "application/rss+xml")
    with pytest.raises(Unreadable, match=r"^reading took more than 0\.01 seconds$"):
        polled(site, impatient)


def polled(site: Site, readers: ReaderProcesses) -> list[News]:
    fetcher = Fetcher(private=True, pause=0)
    return list(Poll(f"{site.url}/feed", FeedState(), lambda _: None, fetcher, readers, LIMIT, now=datetime.now(UTC)))
