"""An index that is deleted, emptied, moved or swapped under a server: nothing is confirmed that is not there."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.catalogue.lock import write_lock
from searchsvc.errors import Busy, DamagedCatalogue, NoIndex
from searchsvc.library import Library
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle, article_id

SERVING = Path(__file__).parent / "serving.py"

pytestmark = pytest.mark.usefixtures("words")


@dataclass
class Served:
    """A server in a process of its own, and what it said."""

    client: httpx.Client
    said: list[str] = field(default_factory=list)

    def add(self, key: str, text: str) -> int:
        return self.client.post("/articles", json={"key": key, "text": text}).status_code

    def finds(self, word: str) -> tuple[int, list[str]]:
        answered = self.client.get("/search", params={"q": word})
        if answered.status_code != 200:
            return answered.status_code, []
        return 200, [hit["article"]["key"] for hit in answered.json()["hits"] if word in hit["passage"]["text"]]

    def reads(self, key: str) -> tuple[int, str]:
        answered = self.client.get(f"/articles/{article_id(key)}")
        return answered.status_code, answered.json().get("error", {}).get("code", "")


@contextmanager
def served(index: Path) -> Iterator[Served]:
    """Serve an index, until the end of the block."""
    command = [sys.executable, str(SERVING), str(index)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    try:
        while not (found := re.search(r"listens on (http://127\.0\.0\.1:\d+)", said[-1] if said else "")):
            said.append(process.stderr.readline())
            assert said[-1], "the server ended"
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        reader.start()
        with httpx.Client(base_url=found[1], timeout=60, trust_env=False) as client:
            yield Served(client, said)
    finally:
        process.kill()
        process.wait(60)
        reader.join()
        process.stderr.close()


def library_of(index: Path, *words: str) -> Library:
    made = Library(Settings(index=index))
    made.add(RawArticle(word, f"About {word}", f"The committee spoke of {word} until noon.") for word in words)
    return made


def held(index: Path) -> set[str]:
    """Return the keys of the articles in the index at this path, as a process sees them that begins now."""
    try:
        catalogue = Catalogue(index / "catalogue.sqlite3")
    except NoIndex:
        return set()
    rows, _ = catalogue.changes.between(0, catalogue.changes.last())
    return {entry.key for entry in catalogue.articles.by_row(rows).values()}


def delete(index: Path) -> None:
    shutil.rmtree(index)


def empty(index: Path) -> None:
    for one in list(index.iterdir()):
        shutil.rmtree(one) if one.is_dir() else one.unlink()


def move_away(index: Path) -> None:
    index.rename(index.with_name("away"))


def swap(index: Path) -> None:
    index.rename(index.with_name("away"))
    index.with_name("other").rename(index)


def swap_with_a_copy(index: Path) -> None:
    """Put a copy in place that was the same until it went its own way."""
    shutil.rmtree(index.with_name("other"))
    shutil.copytree(index, index.with_name("other"))
    other = Library(Settings(index=index.with_name("other")))
    other.remove(["copper"])
    other.add([RawArticle("cobalt", "About cobalt", "The committee spoke of cobalt until noon.")])
    swap(index)


def lose_the_log(index: Path) -> None:
    for one in index.glob("catalogue.sqlite3-*"):
        one.unlink()


@pytest.mark.parametrize("harm", [delete, empty, move_away, swap_with_a_copy])
def test_nothing_is_confirmed_or_served_that_is_not_in_the_index_at_the_path(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    index = tmp_path / "index"
    library_of(index, "copper", "nickel")
    library_of(tmp_path / "other", "cobalt")
    with served(index) as server:
        assert server.add("first", "The first one came in time.") == 200
        assert server.finds("copper") == (200, ["copper"])
        harm(index)
        statuses = {f"k{n}": server.add(f"k{n}", f"Number {n} came after the harm.") for n in range(10)}
        confirmed = {key for key, status in statuses.items() if status == 200}
        assert {*statuses.values()} <= {200, 503}
        there = held(index)
        assert confirmed <= there
        for key in ("copper", "nickel", "cobalt"):
            assert server.reads(key)[0] == (200 if key in there else 404 if there else 503)
            status, found = server.finds(key)
            assert (status, found) == ((200, [key] if key in there else []) if there else (503, []))
        if there:
            assert confirmed == {*statuses}
        else:
            assert server.reads("copper") == (503, "no_index")
            assert [*tmp_path.glob("index/*")] == []
            library_of(index, "cobalt")  # as `searchsvc index` would
            assert server.finds("cobalt") == (200, ["cobalt"])
            assert server.reads("copper")[0] == 404
            assert server.add("later", "This came later.") == 200
            assert "later" in held(index)
    assert any(line.startswith("Attention: ") and str(index) in line for line in server.said)


def test_a_log_that_was_deleted_takes_no_confirmed_article_along(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shelf = library_of(index, "copper")
    lose_the_log(index)
    shelf.add([RawArticle("nickel", "Nickel", "There is nickel.")])
    assert "nickel" in held(index)


def test_a_write_under_way_is_refused_and_the_next_one_goes_to_the_index_that_is_there(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shelf = library_of(index, "copper")
    library_of(tmp_path / "other", "cobalt")
    catalogue = shelf.catalogue

    def write() -> None:
        with catalogue.writing() as writer:
            swap(index)
            writer.metadata.set("written", "now")

    with pytest.raises(Busy, match="another index was put in place"):
        write()
    assert held(tmp_path / "away") == {"copper"}
    with pytest.raises(Busy):
        catalogue.counts()
    shelf.add([RawArticle("more", "More", "There is more.")])
    assert (held(index), held(tmp_path / "away")) == ({"cobalt", "more"}, {"copper"})
    shutil.rmtree(index)
    with pytest.raises(NoIndex, match="is gone"):
        shelf.search("cobalt")
    with pytest.raises(NoIndex, match="is gone"):
        shelf.add([RawArticle("more", "More", "There is more.")])
    assert not index.exists()


def test_a_change_that_was_committed_while_the_index_was_moved_away_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    shelf = library_of(index, "copper")
    from searchsvc.library import index as module

    def find(catalogue: Catalogue) -> None:
        move_away(index)
        real(catalogue)

    real = module.find_near_duplicates
    monkeypatch.setattr(module, "find_near_duplicates", find)
    with pytest.raises(NoIndex):
        shelf.add([RawArticle("more", "More", "There is more.")])


def test_whoever_waited_for_the_lock_of_a_folder_that_was_replaced_holds_the_one_that_is_there(tmp_path: Path) -> None:
    index, other = tmp_path / "index", tmp_path / "other"
    index.mkdir()
    other.mkdir()
    waiting, done = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        with write_lock(index, 60):
            done.set()

    with write_lock(other, 0):  # held by somebody who came to the other index before it was moved here
        with write_lock(index, 0):
            thread = threading.Thread(target=wait)
            thread.start()
            waiting.wait()
            swap(index)
        with pytest.raises(Busy):
            write_lock(index, 0).__enter__()
        assert not done.is_set()
        (tmp_path / "index" / "writer.pid").touch()
    thread.join()
    assert done.is_set()


def test_a_catalogue_that_is_emptied_confirms_and_serves_nothing(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shelf = library_of(index, "copper")
    (index / "catalogue.sqlite3").write_bytes(b"")
    for look in (lambda: shelf.add([RawArticle("more", "More", "There is more.")]), lambda: shelf.search("copper")):
        with pytest.raises((Busy, DamagedCatalogue)):
            look()


def test_a_link_that_leads_to_another_index_is_no_place_to_write_the_one_that_is_open(tmp_path: Path) -> None:
    library_of(tmp_path / "a", "copper")
    library_of(tmp_path / "b", "cobalt")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "a")
    shelf = Library(Settings(index=link))
    shelf.add([RawArticle("first", "First", "There is a first one.")])
    link.unlink()
    link.symlink_to(tmp_path / "b")
    with pytest.raises(Busy, match="leads to another folder"):
        shelf.add([RawArticle("more", "More", "There is more.")])
    assert (held(tmp_path / "a"), held(tmp_path / "b")) == ({"copper", "first"}, {"cobalt"})


def test_a_catalogue_that_is_put_beside_the_log_of_another_is_not_opened(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shelf = library_of(index, "copper")
    shelf.add([RawArticle("nickel", "Nickel", "There is nickel.")])
    library_of(tmp_path / "other", "cobalt").backup(tmp_path / "file")
    given = (tmp_path / "file").read_bytes()
    (tmp_path / "file").replace(index / "catalogue.sqlite3")
    for look in (lambda: shelf.add([RawArticle("more", "More", "There is more.")]), lambda: shelf.search("copper")):
        with pytest.raises(Busy, match="beside the write-ahead log"):
            look()
    assert (index / "catalogue.sqlite3").read_bytes() == given
    lose_the_log(index)
    assert held(index) == {"cobalt"}
