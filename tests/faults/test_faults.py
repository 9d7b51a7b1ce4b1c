"""Faults: whatever is killed, filled, cut or set back, nothing committed is lost, nothing half-done is shown.

Every article holds a word of its own, so the right answer to each question is known. The writers that come to harm are
processes of their own (see `faults/writers.py`). Counts are small here; `benchmarks/faults.py` runs them in full.
"""

import contextlib
import copy
import gc
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from searchsvc.errors import Busy, DamagedCatalogue, NoIndex, NotFound, Unwritable
from searchsvc.library import Library
from searchsvc.query import Query
from searchsvc.query.interpretation import interpret
from searchsvc.search.pipeline import Pipeline
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle, article_id

Words = Any  # see conftest
State = dict[str, str]  # the word of each article, by key

HERE = Path(__file__).parent
WORD = re.compile(r"\bw\d{5}x\b")

pytestmark = pytest.mark.usefixtures("words")


# What is known to be right


def text_of(word: str) -> str:
    return f"Report on {word}\n\nThe committee met in the morning. It spoke of {word} until noon."


def recorded(index: Path) -> State:
    """Return what the record holds, read past the product."""
    with contextlib.closing(sqlite3.connect(index / "catalogue.sqlite3")) as db:
        rows = db.execute("SELECT key, title, text FROM articles WHERE until IS NULL").fetchall()
    found = {key: {*WORD.findall(f"{title} {text}")} for key, title, text in rows}
    assert len(found) == len(rows)
    return {key: word for key, (word,) in found.items()}


def answers(shelf: Library, expected: State, gone: set[str]) -> State:
    """Return which articles answer the questions for words that are there, and for words that are gone."""
    found: State = {}
    for word, holders in Counter(expected.values()).items():
        for hit in shelf.search(word, limit=holders, fold=False).hits:  # more than one while a file is being renamed
            if word in hit.answer.text:
                found[hit.article.key] = word
    asked = sorted(gone)
    for start in range(0, len(asked), 100):
        for hit in shelf.search(" ".join(asked[start : start + 100]), limit=5).hits:
            if hit.why.lexical_rank:
                found[hit.article.key] = hit.answer.text
    return found


def assert_right(index: Path, expected: State, words: set[str], shelf: Library | None = None) -> None:
    """Assert that exactly these articles are found, each by its word, and that nothing is wrong with the index."""
    shelf = shelf or Library(Settings(index=index))
    found, held = answers(shelf, expected, words - {*expected.values()}), recorded(index)
    assert found == expected, {*found.items()} ^ {*expected.items()}
    assert held == expected, {*held.items()} ^ {*expected.items()}
    assert shelf.verify().problems == ()


class Press:
    """Files that come, change, move and go, each with words of its own; and what an index of them must hold."""

    def __init__(self, folder: Path, seed: int, prefix: str = "f") -> None:
        self.folder = folder
        self._prefix = prefix
        self.chance = random.Random(seed)
        self.files: dict[str, State] = {}
        self.words: set[str] = set()
        self._names = count(1)
        folder.mkdir()
        for _ in range(8):
            self.appear()

    def word(self) -> str:
        word = f"w{len(self.words) + 50_000 * (self._prefix != 'f'):05d}x"
        self.words.add(word)
        return word

    @property
    def state(self) -> State:
        return {key: word for held in self.files.values() for key, word in held.items()}

    def appear(self) -> None:
        number = next(self._names)
        name = f"{self._prefix}{number}"
        if number % 4:
            self._write(f"{name}.txt", {f"{name}.txt": self.word()})
        else:
            self._write(f"{name}.jsonl", {f"{name}-{n}": self.word() for n in range(6)})

    def change(self) -> None:
        name = self.chance.choice(sorted(self.files))
        some = self.chance.sample(sorted(self.files[name]), -(-len(self.files[name]) // 2))
        self._write(name, self.files[name] | {key: self.word() for key in some})

    def vanish(self) -> None:
        name = self.chance.choice(sorted(self.files))
        (self.folder / name).unlink()
        del self.files[name]

    def rename(self) -> None:
        old = self.chance.choice(sorted(self.files))
        new = f"{self._prefix}{next(self._names)}{Path(old).suffix}"
        (self.folder / old).rename(self.folder / new)
        held = self.files.pop(old)
        self.files[new] = {new if key == old else key: word for key, word in held.items()}

    def go_on(self) -> None:
        """Let some files come, change, move and go."""
        for deed in (self.appear, self.appear, self.change, self.change, self.rename):
            deed()
        while len(self.files) > 9:
            self.vanish()

    def _write(self, name: str, held: State) -> None:
        self.files[name] = held
        records = [json.dumps({"id": key, "text": text_of(word)}) for key, word in held.items()]
        (self.folder / name).write_text("\n".join(records) if name.endswith(".jsonl") else text_of(*held.values()))


# Writers in processes of their own


class Writers:
    """Does jobs with `faults/writers.py`, one after another."""

    def __init__(self) -> None:
        command = [sys.executable, str(HERE / "writers.py")]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(60)

    def begin(self, index: Path, *steps: list[Any], **job: Any) -> int:
        """Begin a job; return the process that does it."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"index": str(index), "steps": steps, **job}) + "\n")
        self._server.stdin.flush()
        return int(self._heard()["began"])

    def ended(self) -> tuple[list[dict[str, Any]], int]:
        """Return what the job said after each step, and how its process ended."""
        said = []
        while "ended" not in (heard := self._heard()):
            said.append(heard)
        return said, int(heard["ended"])

    def do(self, index: Path, *steps: list[Any], **job: Any) -> list[dict[str, Any]]:
        """Do a job to its end."""
        self.begin(index, *steps, **job)
        said, ended = self.ended()
        assert ended == 0
        return said

    def _heard(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        heard: dict[str, Any] = json.loads(self._server.stdout.readline())
        return heard


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers() as found:
        yield found


class Desk:
    """An index with files that it follows and articles given directly; it knows what the index must hold."""

    def __init__(self, home: Path, writers: Writers, seed: int) -> None:
        self.index = home / "index"
        self.backup = home / "backup"
        self.press = Press(home / "news", seed)
        self.writers = writers
        self.state: State = {}
        self.direct: State = {}
        self._given = count(1)

    @property
    def complete(self) -> State:
        return self.press.state | self.direct

    def given(self) -> State:
        return {f"direct-{next(self._given)}": self.press.word() for _ in range(3)}

    def assert_right(self, expected: State | None = None, shelf: Library | None = None) -> None:
        assert_right(self.index, self.complete if expected is None else expected, self.press.words, shelf)

    def copied(self, home: Path) -> "Desk":
        """Return the same in another place."""
        other: Desk = copy.copy(self)
        other.press = copy.deepcopy(self.press)
        other.index, other.backup, other.press.folder = home / "index", home / "backup", home / "news"
        for old, new in ((self.index, other.index), (self.press.folder, other.press.folder)):
            shutil.copytree(old, new)
        shutil.copy(self.backup, other.backup)
        with contextlib.closing(sqlite3.connect(other.index / "catalogue.sqlite3", isolation_level=None)) as db:
            folders = (str(self.press.folder), str(other.press.folder))
            db.execute("UPDATE files SET path = replace(path, ?, ?)", folders)
        return other

    def finish(self) -> None:
        """Let another run complete what was begun, and assert that all is right."""
        said = self.writers.do(self.index, ["index", str(self.press.folder)])
        assert said == [{"done": "index", "said": [0, [], 0]}]
        self.state = self.complete
        self.assert_right()


# 1. Writers that are killed


def allowed_after_kill(states: list[State], atomic: list[bool], done: int) -> Callable[[State], bool]:
    """Return what says of a state whether it may be left by a writer that was killed after `done` steps."""
    before, after = states[done], states[min(done + 1, len(states) - 1)]

    def is_allowed(found: State) -> bool:
        if done == len(atomic) or atomic[done]:
            return found in (before, after)
        keys = {*before, *after, *found}
        return all(found.get(key) in (before.get(key), after.get(key)) for key in keys)

    return is_allowed


def kill_at_random(home: Path, writers: Writers, kills: int, seed: int) -> Counter[str]:
    """Kill writers at random moments while files come and go; return during which step, and how often."""
    desk = Desk(home, writers, seed)
    chance = random.Random(seed)
    struck: Counter[str] = Counter()
    desk.finish()
    reader = Library(Settings(index=desk.index))
    took = 0.3
    while struck.total() < kills:
        desk.press.go_on()
        new = desk.given()
        old = sorted(desk.direct)[:2]
        left = {key: word for key, word in desk.direct.items() if key not in old}
        files = desk.press.state
        steps = [["index", str(desk.press.folder)], ["add", {key: text_of(word) for key, word in new.items()}]]
        steps += [["remove", *old]] if old else []
        steps += [["tidy"], ["rebuild"]]
        states = [desk.state, files | desk.direct, files | desk.direct | new]
        states += [files | left | new] * (len(steps) - 2)
        began = time.monotonic()
        pid = writers.begin(desk.index, *steps)
        time.sleep(chance.uniform(0, 1.05 * took))
        seen = reader.catalogue.changes.last()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        said, ended = writers.ended()
        if ended == 0:
            took = (time.monotonic() - began + took) / 2
        else:
            struck[steps[len(said)][0]] += 1
        assert [one for one in said if "failed" in one] == []
        found = recorded(desk.index)
        assert allowed_after_kill(states, [step[0] != "index" for step in steps], len(said))(found)
        assert reader.catalogue.changes.last() >= seen
        desk.assert_right(found, shelf=reader)
        desk.assert_right(found)
        desk.direct = {key: word for key, word in (desk.direct | new).items() if key in found}
        desk.finish()
    return struck


@pytest.mark.slow
def test_writers_killed_at_random_moments_lose_nothing(tmp_path: Path, writers: Writers) -> None:
    assert kill_at_random(tmp_path, writers, kills=10, seed=1).total() == 10


class Scenario:
    """Steps that a writer does on an index that lies there in every detail as it was; and the states between them."""

    def __init__(self, home: Path, writers: Writers, name: str) -> None:
        self.desk = desk = Desk(home, writers, seed=2)
        self.base = home / "base"
        self.settings: dict[str, Any] = {}
        index = ["index", str(desk.press.folder)]
        if name == "creating":
            self.begin = {}
            self._steps = [(index, desk.press.state), *self._adding(desk.press.state)]
            return
        bulk = desk.press.word()
        text = f"A long report\n\nIt was about {bulk}. " + " ".join(
            f"Member {n} said that it was late." for n in range(600)
        )
        said = writers.do(desk.index, index, ["add", {"bulk": text}], ["backup", str(desk.backup)])
        assert [one["done"] for one in said] == ["index", "add", "backup"]
        self.begin = desk.press.state | {"bulk": bulk}
        if name == "restoring from nothing":
            self._steps = [(["restore", str(desk.backup)], self.begin)]
            self.begin = {}
            return
        desk.index.rename(self.base)
        if name == "moving":
            self.settings = {"passage_tokens": 40}
            self._steps = [(["rebuild"], self.begin)]
            return
        desk.press.go_on()
        first = desk.press.state | {"bulk": bulk}
        self._steps = [(index, first), (["backup", str(home / "second")], first), *self._adding(first)]
        last = self._steps[-1][1]
        del last["bulk"]
        self._steps += [(["tidy"], last), (["rebuild"], last), (["restore", str(home / "second")], first)]

    def _adding(self, state: State) -> list[tuple[list[Any], State]]:
        new = self.desk.given()
        key = min(new)
        left = {one: word for one, word in new.items() if one != key}
        add = ["add", {one: text_of(word) for one, word in new.items()}]
        return [(add, state | new), (["remove", key, *({"bulk"} & {*state})], state | left)]

    def places(self) -> list[tuple[str, int]]:
        """Return all places that are reached, in order, each with how many times it has been until then."""
        self._lay_out()
        said = self.desk.writers.do(
            self.desk.index, *(step for step, _ in self._steps), trace=True, settings=self.settings
        )
        assert [one for one in said if "failed" in one] == []
        counts: Counter[str] = Counter()
        return [(place, counts[place]) for place in said[-1]["reached"] if not counts.update([place])]

    def kill_at(self, place: str, number: int) -> None:
        """Kill the writer there, assert that what it left is right, and let another complete it."""
        desk, steps = self.desk, [step for step, _ in self._steps]
        self._lay_out()
        desk.writers.begin(desk.index, *steps, fault=[place, number, "kill"], settings=self.settings)
        said, ended = desk.writers.ended()
        assert (ended, [one for one in said if "failed" in one]) == (-signal.SIGKILL, [])
        states = [self.begin, *(state for _, state in self._steps)]
        if (desk.index / "catalogue.sqlite3").exists():
            found = recorded(desk.index)
            assert allowed_after_kill(states, [step[0] != "index" for step in steps], len(said))(found)
            shelf = Library(Settings(index=desk.index))
            if shelf.catalogue.spaces.get() is not None:
                desk.assert_right(found, shelf)
        else:
            found = {}
        left = steps[len(said) :]
        if left and left[0][0] == "remove":
            there = [key for key in left[0][1:] if key in found]
            left[0:1] = [["remove", *there]] if there else []
        left.append(["rebuild"])  # which tidies up behind whoever was killed
        said = desk.writers.do(desk.index, *left, settings=self.settings)
        assert [one.get("done", one) for one in said] == [step[0] for step in left]
        desk.assert_right(states[-1])
        assert [*desk.index.rglob("*.part*")] == []

    def _lay_out(self) -> None:
        shutil.rmtree(self.desk.index, ignore_errors=True)
        (self.desk.backup.with_name("second")).unlink(missing_ok=True)
        if self.base.exists():
            shutil.copytree(self.base, self.desk.index)


SCENARIOS = ["creating", "changing", "moving", "restoring from nothing"]


SOME_PLACES = {
    "read a file", "embed", "BEGIN", "INSERT", "DELETE", "COMMIT", "PRAGMA application_id", "VACUUM",
    "PRAGMA wal_checkpoint", "PRAGMA integrity_check", "mkdir lexical-N", "Lexical._write", "Lexical._record",
    "ledger.write lexical.json", "dense.write", "faiss.write_index", "replace .dense-N.npy.part", "fsync",
    "replace .dense.json.part", "rmtree lexical-N", "replace .second.part", "unlink writer.pid",
}  # fmt: skip


def kill_at_places(home: Path, writers: Writers, *, every: bool) -> Counter[str]:
    """Kill writers at every place of every scenario, or at some; return where, and how often."""
    struck: Counter[str] = Counter()
    chance = random.Random(3)
    wrong = []
    for name in SCENARIOS:
        (home / name).mkdir()
        scenario = Scenario(home / name, writers, name)
        places = scenario.places()
        if not every:
            chance.shuffle(places)
            some = {place: (place, number) for place, number in places if place in SOME_PLACES and not struck[place]}
            places = [*some.values()]
        for place, number in places:
            struck[place] += 1
            try:
                scenario.kill_at(place, number)
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{name}, {place} {number}: {error!r:.300}")
    assert not wrong, "\n".join(wrong)
    return struck


@pytest.mark.slow
def test_writers_killed_at_each_place_lose_nothing(tmp_path: Path, writers: Writers) -> None:
    assert {*kill_at_places(tmp_path, writers, every=False)} == SOME_PLACES


def test_what_a_writer_left_that_was_killed_in_the_midst_of_tantivys_commit_is_in_nobodys_way(
    tmp_path: Path, writers: Writers
) -> None:
    index, tried = tmp_path / "index", tmp_path / "tried"
    state = {f"a{n}": f"w{n:05d}x" for n in range(9)}
    writers.do(index, ["add", {key: text_of(word) for key, word in state.items()}])
    writers.begin(index, ["remove", "a0"], fault=["Lexical._write", 1, "kill"])
    assert writers.ended() == ([], -signal.SIGKILL)
    shutil.copytree(index, tried)
    writers.do(tried, ["search", "w00001x"])
    (deletions,) = tried.rglob("*.del")
    # tantivy notes down and writes such files first, and then puts them in force.
    for file in (deletions, deletions.with_name(".managed.json")):
        shutil.copy(file, index / file.relative_to(tried))
    del state["a0"]
    assert_right(index, state, {"w00000x"})


# 2. Servers that are killed


class Server:
    """`searchsvc serve` on an index, with the real model, on a port of its own choice."""

    def __init__(self, index: Path, *typed: str) -> None:
        command = [sys.executable, "-m", "searchsvc", "serve", "--index", str(index), "--port", "0", *typed]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = ""
        while not (found := re.search(r"listens on http://127\.0\.0\.1:(\d+)", said)):
            said = self.process.stderr.readline()
            assert said, "the server ended"
        self.port = int(found[1])
        while (ready := self.ask("GET", "/readyz"))[0] != 200 and ready[1]["error"]["code"] in {"loading"}:
            time.sleep(0.02)
        self.ready = ready

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and what was answered; raises OSError or HTTPException when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answered = connection.getresponse()
            said = answered.read()
            return answered.status, json.loads(said) if said else None
        finally:
            connection.close()

    def finds(self, word: str) -> str | None:
        status, found = self.ask("GET", f"/search?q={word}&limit=1")
        assert status == 200
        hits = [hit for hit in found["hits"] if word in hit["passage"]["text"]]
        return hits[0]["article"]["key"] if hits else None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)
        assert self.process.stderr is not None
        self.process.stderr.close()


class Client(threading.Thread):
    """Adds and deletes articles, and looks at once whether that is so, until the server answers no more."""

    def __init__(self, server: Server, state: State, words: Iterator[str], chance: random.Random) -> None:
        super().__init__()
        self._server, self.state, self._words, self._chance = server, state, words, chance
        self.doubtful: str | None = None  # the article for whose change no answer came
        self.wrong: list[object] = []
        self.answered = 0

    def run(self) -> None:
        try:
            while not self.wrong:
                self._change()
        except (ConnectionError, http.client.HTTPException):
            return  # killed
        except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
            self.wrong.append(repr(error))

    def _change(self) -> None:
        word = next(self._words)
        if len(self.state) > 5 and self._chance.random() < 0.5:
            key = self._chance.choice(sorted(self.state))
            self.doubtful = key
            status, _ = self._server.ask("DELETE", f"/articles/{article_id(key)}")
            gone, expected = self.state.pop(key), None
            word = gone
        else:
            key = self._chance.choice([f"a{word}", *self.state])  # a new one, or another text for one that is there
            self.doubtful = key
            status, _ = self._server.ask("POST", "/articles", {"key": key, "text": text_of(word)})
            self.state[key] = expected = word
        self.doubtful = None
        self.answered += 1
        if status not in {200, 204} or self._server.finds(word) != (expected and key):
            self.wrong.append((status, key, word))


def kill_servers(home: Path, kills: int, seed: int) -> int:
    """Kill servers while they are asked and written to; return how many changes they had confirmed."""
    index = home / "index"
    chance = random.Random(seed)
    words = [map(f"w{client}{{:04d}}x".format, count()) for client in range(2)]
    states: list[State] = [{}, {}]
    confirmed = 0
    for _ in range(kills):
        server = Server(index)
        clients = [Client(server, states[n], words[n], random.Random(chance.random())) for n in range(2)]
        for client in clients:
            client.start()
        while not any(client.answered or client.wrong for client in clients):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1))
        server.kill()
        for client in clients:
            client.join(60)
            assert client.wrong == []
            confirmed += client.answered
        server = Server(index)
        assert server.ready[0] == 200
        found = recorded(index)
        for client in clients:
            sure = {key: word for key, word in client.state.items() if key != client.doubtful}
            assert {key: found.get(key) for key in sure} == sure
            if client.doubtful is not None:
                client.state.pop(client.doubtful, None)
                client.state.update({client.doubtful: found[client.doubtful]} if client.doubtful in found else {})
        assert found == states[0] | states[1]
        assert {server.finds(word): word for word in found.values()} == found
        server.kill()
        assert Library(Settings(index=index)).verify().problems == ()
    return confirmed


@pytest.mark.slow
def test_a_server_of_several_processes_leaves_none_behind_when_it_is_killed(tmp_path: Path) -> None:
    server = Server(tmp_path / "index", "--workers", "2")
    assert server.ask("POST", "/articles", {"key": "a", "text": text_of("w00001x")})[0] == 200
    server.kill()
    with contextlib.suppress(OSError):
        while True:
            socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
            time.sleep(0.05)
    server = Server(tmp_path / "index", "--workers", "2", "--port", str(server.port))
    assert server.finds("w00001x") == "a"
    server.kill()


@pytest.mark.slow
def test_servers_killed_while_they_are_asked_and_written_to_lose_nothing(tmp_path: Path) -> None:
    assert kill_servers(tmp_path, kills=1, seed=4) > 0


# 3. Files that are damaged


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def flipped(data: bytes) -> bytes:
    """Turn over the first byte of each block, where SQLite and others keep what says how to read it."""
    found = bytearray(data)
    for place in range(0, len(data), 512):
        found[place] ^= 0xFF
    return bytes(found)


def deleted(_: bytes) -> None:
    return None


HARMS = [truncated, emptied, flipped, deleted]


def damage(file: Path, harm: Callable[[bytes], bytes | None]) -> None:
    """Put a damaged file in the place of one, so that who has it mapped is not struck."""
    data = harm(file.read_bytes())
    file.unlink()
    if data is not None:
        file.write_bytes(data)


def begun(home: Path, writers: Writers) -> Desk:
    """Return an index whose last change stands in SQLite's log yet, with a backup from before that."""
    desk = Desk(home, writers, seed=5)
    desk.writers.do(desk.index, ["index", str(desk.press.folder)], ["backup", str(desk.backup)])
    assert recorded(desk.index) == desk.complete  # which also makes SQLite take over all that stands in its log
    desk.state, desk.direct = desk.complete, desk.given()
    add = ["add", {key: text_of(word) for key, word in desk.direct.items()}]
    desk.writers.begin(desk.index, add, fault=["unlink writer.pid", 1, "kill"])
    assert desk.writers.ended() == ([], -signal.SIGKILL)
    return desk


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, writers: Writers) -> Desk:
    return begun(tmp_path_factory.mktemp("base"), writers)


def damage_each(base: Desk, home: Path, *, every: bool) -> Counter[str]:
    """Do each harm to each search file of an index, or one to each; return how often to which kind of file."""
    struck: Counter[str] = Counter()
    files = [file for file in sorted(base.index.rglob("*")) if file.is_file() and "catalogue" not in file.name]
    for number, file in enumerate(files):
        for harm in HARMS if every else HARMS[number % len(HARMS) :][:1]:
            name = file.relative_to(base.index)
            struck[re.sub("[0-9a-f]{32}|[0-9]{12}", "N", file.name)] += 1
            index = Path(shutil.copytree(base.index, home / str(struck.total())))
            damage(index / name, harm)
            assert_right(index, base.complete, base.press.words)
            assert Library(Settings(index=index)).add([RawArticle("new", "", text_of("w99999x"))]).added == 1
            assert_right(index, base.complete | {"new": "w99999x"}, base.press.words)
    return struck


@pytest.mark.slow
def test_a_damaged_search_file_is_made_anew_and_never_served(base: Desk, tmp_path: Path) -> None:
    struck = damage_each(base, tmp_path, every=False)
    assert {"dense.json", "dense-N.faiss", "dense-N.npy", "lexical.json", "meta.json", "writer.lock"} < {*struck}
    assert {"N.term", "N.store", "N.idx", "N.pos", "N.fast", "N.fieldnorm", "writer.pid"} < {*struck}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_a_damaged_catalogue_is_right_or_refused_and_a_backup_puts_it_right(
    base: Desk, tmp_path: Path, end: str, harm: Callable[[bytes], bytes | None]
) -> None:
    index = Path(shutil.copytree(base.index, tmp_path / "index"))
    damage(index / f"catalogue.sqlite3{end}", harm)
    try:
        shelf = Library(Settings(index=index))
        found = answers(shelf, base.complete, set())
    except (DamagedCatalogue, NoIndex) as refused:
        refusal = (end, type(refused), str(refused.hint).split(" ")[:2])
        kind, hint = (NoIndex, "index") if harm is deleted else (DamagedCatalogue, "restore")
        assert refusal == ("", kind, ["searchsvc", hint])
    else:
        if found != base.complete:  # what the search index had followed is gone, which is said until a person knows
            (said,) = Library(Settings(index=index)).verify().problems
            assert "may be lost; index the sources again" in said
            Library(Settings(index=index)).rebuild()
        assert_right(index, found, base.press.words)
        # Without its log SQLite knows only what it has taken over from there.
        assert found in {"-wal": [base.state, base.complete], "-shm": [base.complete]}[end]
    Library(Settings(index=index)).restore(base.backup)
    assert_right(index, base.state, base.press.words)


def test_a_catalogue_that_was_deleted_is_made_anew_from_the_files(base: Desk, tmp_path: Path) -> None:
    """What SQLite kept beside the old one must not be taken for the new one's."""
    index = Path(shutil.copytree(base.index, tmp_path / "index"))
    damage(index / "catalogue.sqlite3", deleted)
    assert Library(Settings(index=index)).index([base.press.folder]).problems == []
    assert_right(index, base.state, base.press.words)


# 4. Disks that are full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a disk here")
    yield folder
    gc.collect()  # which closes what is open on it
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


PHASES = {
    "the catalogue's commit": ("index", "COMMIT", 1),
    "the catalogue's later commit": ("index", "COMMIT", 2),
    "FAISS": ("rebuild", "faiss.write_index", 1),
    "the columns": ("rebuild", "fsync", 1),
    "FAISS's ledger": ("rebuild", "ledger.write dense.json", 1),
    "tantivy": ("index", "Lexical._write", 1),
    "tantivy's ledger": ("index", "ledger.write lexical.json", 1),
    "making tantivy anew": ("rebuild", "mkdir lexical-N", 1),
    "backup": ("backup", "VACUUM", 1),
    "restore": ("restore", "unlink .catalogue.sqliteN.part", 1),
    "taking a restored catalogue over": ("restore", "PRAGMA integrity_check", 1),
    "following a restored catalogue": ("restore", "dense.write", 1),
    "moving": ("move", "INSERT", 2),
    "moving's index": ("move", "dense.write", 1),
    "moving's ledger": ("move", "ledger.write dense.json", 1),
    "moving's end": ("move", "UPDATE", 2),
}


def starve(desk: Desk, phase: str, deed: list[str]) -> None:
    """Take the room away while a command is at work; it must say so, the old state serve, and the next run complete."""
    command, place, number = PHASES[phase]
    typed = {"index": ["index", str(desk.press.folder)], "move": ["rebuild", "--passage-tokens", "40"]}.get(
        command, [command, *([str(desk.backup)] if command in {"backup", "restore"} else [])]
    )
    before = recorded(desk.index)
    reader = Library(Settings(index=desk.index))
    assert_right(desk.index, before, desk.press.words, reader)
    if command == "index":
        desk.press.go_on()
    after = {"index": desk.complete, "restore": desk.state}.get(command, before)
    (said,) = desk.writers.do(desk.index, ["cli", *typed], fault=[place, number, *deed])
    code, message = said["said"]
    assert code == 1, message
    assert re.findall("^searchsvc: .*cannot be written.*", message, re.MULTILINE) == message.splitlines()[-1:]
    assert "Traceback" not in message
    found = recorded(desk.index)
    assert all(found.get(key) in (before.get(key), after.get(key)) for key in before | after | found)
    if command == "restore" and found == after:
        # What search files there are belong to the catalogue that was, and are not served.
        with pytest.raises((Busy, Unwritable)) if deed[0] == "fill" else contextlib.nullcontext():
            reader.search(min(found.values()))
    else:
        stayed = {key: word for key, word in found.items() if before.get(key) == word}
        for shelf in (reader, Library(Settings(index=desk.index))):
            assert answers(shelf, stayed, set()) == stayed
    if deed[0] == "fill":
        Path(deed[1]).unlink()
    assert_right(desk.index, found, desk.press.words, reader)
    (again,) = desk.writers.do(desk.index, ["cli", *typed])
    assert again["said"][0] == 0, again
    assert_right(desk.index, after, desk.press.words)
    assert [*desk.index.rglob(".*.part*")] == []


@pytest.mark.parametrize("phase", PHASES)
def test_what_cannot_be_written_is_said_and_done_when_there_is_room(base: Desk, tmp_path: Path, phase: str) -> None:
    starve(base.copied(tmp_path), phase, ["limit"])


@pytest.mark.parametrize("phase", [*PHASES][::2])
def test_a_full_disk_is_said_and_gone_on_from_when_there_is_room(base: Desk, small_disk: Path, phase: str) -> None:
    starve(base.copied(small_disk), phase, ["fill", str(small_disk / "ballast")])


# 5. Several at once, clocks, and files that are not what they were a moment ago


@pytest.mark.slow
def test_writers_that_write_at_once_end_as_one_after_another_would(tmp_path: Path) -> None:
    index = tmp_path / "index"
    presses = [Press(tmp_path / "news", seed=6), Press(tmp_path / "more", seed=7, prefix="g")]
    folders = [["index", str(press.folder)] for press in presses]
    kept = {f"kept-{n}": f"w7{n:04d}x" for n in range(4)}
    passing = {f"passing-{n}": f"w8{n:04d}x" for n in range(4)}
    adds = [["add", {key: text_of(word)}] for key, word in (kept | passing).items()]
    with Writers() as first, Writers() as second, Writers() as third:
        for _ in range(2):
            for press in presses:
                press.go_on()
            first.begin(index, *folders)
            second.begin(index, *folders[::-1])
            third.begin(index, *adds, *(["remove", key] for key in passing))
            for writer in (first, second, third):
                said, ended = writer.ended()
                assert (ended, [one for one in said if "failed" in one]) == (0, [])
            words_gone = presses[0].words | presses[1].words | {*passing.values()}
            assert_right(index, presses[0].state | presses[1].state | kept, words_gone)


def test_a_snapshot_answers_as_it_did_while_ten_newer_ones_are_made(
    tmp_path: Path, writers: Writers, words: Words
) -> None:
    index = tmp_path / "index"
    then = {f"a{n}": f"w{n:05d}x" for n in range(12)}
    writers.do(index, ["add", {key: text_of(word) for key, word in then.items()}])
    shelf = Library(Settings(index=index))
    snapshot = shelf.snapshot()
    newer = [{f"a{n}": f"w1{n:04d}x", f"b{n}": f"w2{n:04d}x"} for n in range(10)]
    writers.do(index, *(["add", {key: text_of(word) for key, word in one.items()}] for one in newer), ["rebuild"])
    for key, word in then.items():
        query = Query(word, limit=1)
        (hit,) = Pipeline(snapshot, shelf.catalogue, words).run(query, interpret(query)).hits
        assert (hit.article.key, hit.passage.text) == (key, text_of(word).split("\n\n")[1])
    now = then | {key: word for one in newer for key, word in one.items()}
    assert_right(index, now, {*then.values()}, shelf)


def test_a_clock_that_is_set_back_hides_no_change(tmp_path: Path, writers: Writers) -> None:
    desk = Desk(tmp_path, writers, seed=8)
    week = 7 * 24 * 3600
    for clock in (0, -week, week, -2 * week, 0):
        desk.press.go_on()
        for name in desk.press.files:
            os.utime(desk.press.folder / name, (time.time() + clock, time.time() + clock))
        index = ["index", str(desk.press.folder)]
        said = writers.do(desk.index, index, ["tidy"], ["rebuild"], index, clock=clock)
        assert said[0] == said[3] == {"done": "index", "said": [0, [], 0]}
        desk.assert_right()


def test_a_file_that_changes_while_it_is_read_is_right_in_the_end(tmp_path: Path, writers: Writers) -> None:
    news = tmp_path / "news"
    news.mkdir()
    (news / "a.txt").write_text(text_of("w00001x"))
    index = ["index", str(news)]
    for number, place in enumerate(("read a file", "embed", "COMMIT"), 2):
        (news / "a.txt").write_text(text_of(f"w{number}0000x"))
        change = [place, 1, "write", str(news / "a.txt"), text_of(f"w{number}1111x")]
        writers.do(tmp_path / "index", index, fault=change)
        writers.do(tmp_path / "index", index)
        assert_right(tmp_path / "index", {"a.txt": f"w{number}1111x"}, {f"w{number}0000x"})


@pytest.mark.parametrize("way", ["unmounted", "renamed", "emptied"])
def test_a_folder_that_is_away_for_a_while_loses_nothing(tmp_path: Path, writers: Writers, way: str) -> None:
    desk = Desk(tmp_path, writers, seed=9)
    news, stored = desk.press.folder, tmp_path / "stored"
    if way == "unmounted":
        news.rename(stored)
        news.mkdir()
        if subprocess.run(["mount", "--bind", str(stored), str(news)], check=False, capture_output=True).returncode:
            pytest.skip("may not mount a folder here")
    index = ["index", str(news)]
    try:
        desk.finish()
        before = Library(Settings(index=desk.index)).status().generation
        if way == "unmounted":
            subprocess.run(["umount", str(news)], check=True)
        else:
            news.rename(stored)
            if way == "emptied":
                news.mkdir()
        (away,) = writers.do(desk.index, index)
        assert away["said"][2] == 1 or away["said"][0] == 1
        desk.assert_right()
        if way == "unmounted":
            subprocess.run(["mount", "--bind", str(stored), str(news)], check=True)
        else:
            shutil.rmtree(news, ignore_errors=True)
            stored.rename(news)
        desk.finish()
        assert Library(Settings(index=desk.index)).status().generation == before
    finally:
        if way == "unmounted":
            subprocess.run(["umount", str(news)], check=False, capture_output=True)


# 6. Anything in any order


NAMES = st.sampled_from([f"f{n}.txt" for n in range(6)])
KEYS = st.sampled_from([f"d{n}" for n in range(6)])


class Deeds(RuleBasedStateMachine):
    """An index beside a plain model of it: what each file holds, and each article's word and where it is from.

    An article that was given directly and stands in a file too belongs to whichever was taken last; names are kept
    apart here, so that the model can be plain.
    """

    embedder: Any
    writers: Writers
    done: list[None]

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.home = Path(self._temporary.name)
        self.news = self.home / "news"
        self.news.mkdir()
        (self.news / "anchor.md").write_text(text_of("w99998x"))  # so that the folder is never bare
        self.files: State = {}
        self.indexed: State = {}
        self.direct: State = {}
        self.backup: tuple[State, State] | None = None
        self.tokens = 160
        self.words: set[str] = set()
        self.shelf = self._opened()
        self._index()

    def teardown(self) -> None:
        if self.indexed:
            assert_right(self.home / "index", self.state, self.words)
        self.shelf = None  # type: ignore[assignment]
        gc.collect()
        self._temporary.cleanup()

    @property
    def state(self) -> State:
        return self.indexed | self.direct

    def _opened(self) -> Library:
        return Library(Settings(index=self.home / "index"))

    def _word(self) -> str:
        word = f"w{len(self.words):05d}x"
        self.words.add(word)
        return word

    def _index(self) -> None:
        report = self.shelf.index([self.news], prune=True)
        assert (report.problems, report.kept) == ([], [])
        self.indexed = self.files | {"anchor.md": "w99998x"}

    # Files

    @rule(name=NAMES)
    def write_a_file(self, name: str) -> None:
        self.files[name] = self._word()
        (self.news / name).write_text(text_of(self.files[name]))

    @rule(name=NAMES)
    def delete_a_file(self, name: str) -> None:
        if self.files.pop(name, None):
            (self.news / name).unlink()

    @rule(old=NAMES, new=NAMES)
    def rename_a_file(self, old: str, new: str) -> None:
        if old in self.files:
            (self.news / old).rename(self.news / new)
            self.files[new] = self.files.pop(old)

    @rule()
    def index(self) -> None:
        self._index()

    @rule(name=NAMES)
    def index_one(self, name: str) -> None:
        self.shelf.index([self.news], only=[self.news / name], prune=True)
        self.indexed.pop(name, None)
        self.indexed.update({name: self.files[name]} if name in self.files else {})

    # Articles

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4, unique=True))
    def add(self, keys: list[str]) -> None:
        new = {key: self._word() for key in keys}
        report = self.shelf.add(RawArticle(key, *text_of(word).split("\n\n", 1)) for key, word in new.items())
        assert (report.added, report.changed) == (len({*new} - {*self.direct}), len({*new} & {*self.direct}))
        self.direct |= new

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        if key in self.direct:
            assert self.shelf.remove([key]) == 1
            del self.direct[key]
        else:
            with pytest.raises(NotFound):
                self.shelf.remove([key])

    # Upkeep

    @rule()
    def tidy(self) -> None:
        self.shelf.tidy(timedelta(0))

    @rule()
    def rebuild(self) -> None:
        self.shelf.rebuild()

    @rule()
    def reopen(self) -> None:
        self.shelf = self._opened()

    @rule()
    def back_up(self) -> None:
        self.shelf.backup(self.home / "backup")
        self.backup = self.indexed.copy(), self.direct.copy()

    @precondition(lambda self: self.backup)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self.shelf.restore(self.home / "backup")
        self.indexed, self.direct = (one.copy() for one in self.backup)

    @rule(tokens=st.sampled_from([40, 160]))
    def move(self, tokens: int) -> None:
        Library(replace(self.shelf.settings, passage_tokens=tokens)).rebuild()

    # Faults

    @rule(keys=st.lists(KEYS, min_size=1, max_size=3, unique=True))
    def be_interrupted(self, keys: list[str]) -> None:
        self.embedder.fails_at = self.embedder.calls + 1
        with pytest.raises(KeyboardInterrupt):
            self.shelf.add(RawArticle(key, *text_of(self._word()).split("\n\n", 1)) for key in keys)

    @rule(key=KEYS, place=st.sampled_from(["embed", "COMMIT", "Lexical._write", "fsync", "unlink writer.pid"]))
    def be_killed(self, key: str, place: str) -> None:
        word = self._word()
        self.writers.begin(self.home / "index", ["add", {key: text_of(word)}], fault=[place, 1, "kill"])
        assert self.writers.ended() == ([], -signal.SIGKILL)
        if place not in {"embed", "COMMIT"}:
            self.direct[key] = word

    @rule(harm=st.sampled_from(HARMS), chance=st.randoms())
    def be_damaged(self, harm: Callable[[bytes], bytes | None], chance: random.Random) -> None:
        files = sorted(file for file in (self.home / "index" / "local").rglob("*") if file.is_file())
        damage(chance.choice(files), harm)
        self.shelf = self._opened()

    # What must hold

    @rule()
    def verify(self) -> None:
        assert_right(self.home / "index", self.state, self.words, self.shelf)

    @invariant()
    def what_is_there_is_found(self) -> None:
        self.done.append(None)
        for word in [*self.state.values()][-2:]:
            assert word in self.shelf.search(word, limit=1).hits[0].answer.text
        assert recorded(self.home / "index") == self.state


def do_anything(words: Words, writers: Writers, runs: int, steps: int, seed: int) -> int:
    """Do so many deeds in runs of so many steps; return how many were done."""
    machine = type("Machine", (Deeds,), {"embedder": words, "writers": writers, "done": []})
    profile = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=profile)  # type: ignore[no-untyped-call]
    return len(machine.done)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_anything_in_any_order_leaves_what_a_plain_model_says(words: Words, writers: Writers) -> None:
    assert do_anything(words, writers, runs=6, steps=40, seed=10) >= 200
