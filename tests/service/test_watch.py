"""Watching: every way in which files change, told once, after it is over and not before."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from searchsvc.service.watch import MAX_PATHS, Watcher

DEADLINE = 60  # seconds; reached only where something is broken
LINUX_NAMES = pytest.mark.skipif(sys.platform != "linux", reason="names of files are text on this system")


class Told:
    """All that a watcher has told so far."""

    def __init__(self) -> None:
        self.changes: list[frozenset[Path] | None] = []
        self.news = threading.Condition()

    def hear(self, change: frozenset[Path] | None) -> None:
        with self.news:
            self.changes.append(change)
            self.news.notify_all()

    def until(self, condition: Callable[[], object]) -> None:
        with self.news:
            assert self.news.wait_for(condition, DEADLINE), f"not told: {self.changes}"

    def times(self, path: Path) -> int:
        return sum(path in change for change in self.changes if change is not None)

    def looks(self) -> int:
        return self.changes.count(None)

    def paths(self) -> set[Path]:
        return {path for change in self.changes if change is not None for path in change}

    def until_told(self, *paths: Path) -> None:
        self.until(lambda: self.paths() >= set(paths))

    def until_quiet(self, folder: Path) -> None:
        """Wait for a last file, so that whatever changed before it would have been told with it."""
        last = folder / "last.txt"
        last.write_text("the last one")
        self.until_told(last)
        self.changes = [change and change - {last} for change in self.changes]


@contextmanager
def watching(*roots: Path, settle: float = 0.2, rescan: float = 600) -> Iterator[Told]:
    told, stop = Told(), threading.Event()

    def hear() -> None:
        for change in Watcher(roots, settle=settle, rescan=rescan).changes(stop):
            told.hear(change)

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        told.until(told.looks)
        yield told
    finally:
        stop.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """Write to a file, twenty times a second, as long as this lasts."""
    enough = threading.Event()

    def write() -> None:
        with path.open("a") as file:
            while not enough.wait(0.05):
                file.write("and then\n")
                file.flush()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "searchsvc watching"]


@pytest.fixture
def news(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    return folder


# ------------------------------------------------------------------ files


def test_at_first_everything_is_to_be_looked_at(news: Path) -> None:
    (news / "old.txt").write_text("here before")
    with watching(news) as told:
        told.until_quiet(news)
    assert told.changes == [None, frozenset()]


def test_a_new_file_is_told(news: Path) -> None:
    with watching(news) as told:
        (news / "new.txt").write_text("new")
        told.until_told(news / "new.txt")
        told.until_quiet(news)
    assert told.paths() == {news / "new.txt"}
    assert told.times(news / "new.txt") == 1


def test_a_changed_file_is_told_each_time(news: Path) -> None:
    story = news / "story.jsonl.gz"
    story.write_text("one")
    with watching(news) as told:
        story.write_text("two")
        told.until_told(story)
        story.write_text("three")
        told.until(lambda: told.times(story) == 2)
    assert told.paths() == {story}


def test_a_file_is_told_when_it_grows_no_more_and_others_do_not_wait_for_it(news: Path) -> None:
    slow, quick = news / "slow.txt", news / "quick.txt"
    with watching(news, settle=0.6) as told:
        with growing(slow):
            quick.write_text("quick")
            told.until_told(quick)
            assert told.times(slow) == 0
        told.until_told(slow)
        told.until_quiet(news)
    assert told.times(slow) == 1


def test_a_file_saved_by_putting_another_in_its_place_is_told_once(news: Path) -> None:
    story, draft = news / "story.md", news / "story.md~"
    story.write_text("one")
    with watching(news) as told:
        draft.write_text("two")
        draft.replace(story)
        told.until_told(story)
        told.until_quiet(news)
    assert told.times(story) == 1
    assert told.paths() == {story, draft}  # the draft is gone, and could have been a folder


def test_a_deleted_file_is_told(news: Path) -> None:
    story = news / "story.txt"
    story.write_text("one")
    with watching(news) as told:
        story.unlink()
        told.until_told(story)
        told.until_quiet(news)
    assert told.paths() == {story}
    assert told.times(story) == 1


def test_a_file_deleted_and_made_again_is_told_once(news: Path) -> None:
    story = news / "story.txt"
    story.write_text("one")
    with watching(news, settle=0.6) as told:
        story.unlink()
        story.write_text("two")
        told.until_told(story)
        told.until_quiet(news)
    assert told.times(story) == 1
    assert told.paths() == {story}


def test_a_file_that_got_another_name_is_told_under_both(news: Path) -> None:
    (news / "old.txt").write_text("one")
    with watching(news) as told:
        (news / "old.txt").rename(news / "new.txt")
        told.until_told(news / "old.txt", news / "new.txt")


def test_what_cannot_be_an_article_is_left_out(news: Path) -> None:
    (news / ".git").mkdir()
    with watching(news) as told:
        (news / ".hidden.txt").write_text("hidden")
        (news / ".git" / "notes.txt").write_text("in a hidden folder")
        (news / ".later" / "folder").mkdir(parents=True)
        (news / ".later" / "folder" / "notes.txt").write_text("in a hidden folder")
        (news / "photo.jpg").write_bytes(b"no reader")
        os.mkfifo(news / "pipe.txt")
        told.until_quiet(news)
    assert told.paths() == set()


def test_of_what_is_gone_only_hidden_names_are_left_out(news: Path) -> None:
    names = [".hidden", "photo.jpg", "folder"]
    for name in names:
        (news / name).write_text("which could have been a folder")
    with watching(news) as told:
        for name in names:
            (news / name).unlink()
        told.until_told(news / "photo.jpg", news / "folder")
        told.until_quiet(news)
    assert told.paths() == {news / "photo.jpg", news / "folder"}


# ------------------------------------------------------------------ folders


def test_a_new_folder_is_told_with_the_files_in_it(news: Path) -> None:
    with watching(news) as told:
        deep = news / "2024" / "june"
        deep.mkdir(parents=True)
        (deep / "one.txt").write_text("one")
        (deep / "photo.jpg").write_bytes(b"no reader")
        told.until_told(news / "2024", deep / "one.txt")
        (deep / "two.txt").write_text("two")
        told.until_told(deep / "two.txt")
        told.until_quiet(news)
    assert told.paths() <= {news / "2024", deep, deep / "one.txt", deep / "two.txt"}


def test_a_folder_moved_in_is_told_with_the_files_in_it_and_watched(news: Path) -> None:
    (news.parent / "2024" / "june").mkdir(parents=True)
    (news.parent / "2024" / "june" / "one.txt").write_text("one")
    with watching(news) as told:
        (news.parent / "2024").rename(news / "2024")
        told.until_told(news / "2024", news / "2024" / "june" / "one.txt")
        (news / "2024" / "june" / "two.txt").write_text("two")
        told.until_told(news / "2024" / "june" / "two.txt")


def test_a_new_folder_is_told_after_the_files_in_it(news: Path) -> None:
    folder = news / "2024"
    with watching(news, settle=0.6) as told:
        folder.mkdir()
        with growing(folder / "slow.txt"):
            (folder / "quick.txt").write_text("quick")
            told.until_told(folder / "quick.txt")
            (news / "later.txt").write_text("by now, the folder itself could have settled")
            told.until_told(news / "later.txt")
            assert told.paths() == {folder / "quick.txt", news / "later.txt"}
        told.until_told(folder, folder / "slow.txt")


def test_a_folder_is_told_when_it_is_deleted_or_moved_away(news: Path) -> None:
    for name in ("deleted", "moved"):
        (news / name).mkdir()
        (news / name / "story.txt").write_text("story")
    with watching(news) as told:
        shutil.rmtree(news / "deleted")
        (news / "moved").rename(news.parent / "elsewhere")
        told.until_told(news / "deleted", news / "deleted" / "story.txt", news / "moved")


def test_a_folder_put_in_the_place_of_another_is_told(news: Path) -> None:
    (news / "2024").mkdir()
    (news / "2024" / "old.txt").write_text("old")
    (news.parent / "newer").mkdir()
    (news.parent / "newer" / "new.txt").write_text("new")
    with watching(news) as told:
        (news / "2024").rename(news.parent / "older")
        (news.parent / "newer").rename(news / "2024")
        told.until_told(news / "2024", news / "2024" / "new.txt")


def test_a_folder_that_only_looks_different_is_not_told(news: Path) -> None:
    (news / "2024").mkdir()
    (news / "2024" / "old.txt").write_text("old")
    with watching(news) as told:
        os.utime(news, (0, 0))
        os.utime(news / "2024", (0, 0))
        told.until_quiet(news)
    assert told.paths() == set()
    assert told.looks() == 1


def test_all_of_many_files_are_told(news: Path) -> None:
    files = {news / f"{number % 7}" / f"{number}.txt" for number in range(2_000)}
    with watching(news) as told:
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_text("one of many")
        told.until(lambda: told.paths() >= files or told.looks() > 1)


def test_too_many_files_to_name_are_to_be_looked_for(news: Path) -> None:
    crowd = news.parent / "crowd"
    crowd.mkdir()
    for number in range(MAX_PATHS + 1):
        (crowd / f"{number}.txt").touch()
    with watching(news) as told:
        crowd.rename(news / "crowd")
        told.until(lambda: told.looks() == 2)
        told.until_quiet(news)
    assert told.paths() == set()


# ------------------------------------------------------------------ roots


def test_a_root_that_is_a_file_is_told_and_its_neighbours_are_not(news: Path) -> None:
    story, draft = news / "story.txt", news / "draft.txt"
    story.write_text("one")
    with watching(story) as told:
        for text in ("two", "three"):
            seen = told.times(story)
            draft.write_text(text)
            draft.replace(story)
            told.until(lambda seen=seen: told.times(story) == seen + 1)  # type: ignore[misc]
        story.write_text("four")
        told.until(lambda: told.times(story) == 3)
        story.unlink()
        told.until(lambda: told.times(story) == 4)
    assert told.paths() == {story}
    assert told.looks() == 1


def test_a_missing_root_is_told_when_it_comes(tmp_path: Path) -> None:
    story, folder = tmp_path / "story.txt", tmp_path / "folder"
    with watching(story, folder) as told:
        story.write_text("one")
        told.until_told(story)
        folder.mkdir()
        told.until(lambda: told.looks() == 2)
        (folder / "new.txt").write_text("new")
        told.until_told(folder / "new.txt")


def test_a_root_in_a_missing_folder_is_found_in_time(tmp_path: Path) -> None:
    deep = tmp_path / "not" / "yet"
    with watching(deep, rescan=0.2) as told:
        deep.mkdir(parents=True)
        seen = told.looks()
        told.until(lambda: told.looks() > seen + 1)  # the watches were set before the later of these
        (deep / "new.txt").write_text("new")
        told.until_told(deep / "new.txt")


@pytest.mark.parametrize("away", [shutil.rmtree, lambda folder: folder.rename(folder.parent / "elsewhere")])
def test_a_root_that_vanishes_and_comes_back_is_watched_again(news: Path, away: Callable[[Path], object]) -> None:
    with watching(news) as told:
        away(news)
        told.until(lambda: told.looks() == 2)
        news.mkdir()
        told.until(lambda: told.looks() == 3)
        (news / "new.txt").write_text("new")
        told.until_told(news / "new.txt")


def test_a_root_replaced_at_once_is_watched_again(news: Path) -> None:
    with watching(news) as told:
        shutil.rmtree(news)
        news.mkdir()
        told.until(lambda: told.looks() > 1)
        (news / "new.txt").write_text("new")
        told.until(lambda: news / "new.txt" in told.paths() or told.looks() > 2)
        (news / "newer.txt").write_text("newer")
        told.until_told(news / "newer.txt")


def test_a_root_may_be_a_link_and_under_a_hidden_folder(tmp_path: Path) -> None:
    news = tmp_path / ".cache" / "news"
    news.mkdir(parents=True)
    (tmp_path / "link").symlink_to(news)
    with watching(tmp_path / "link") as told:
        (news / "new.txt").write_text("new")
        told.until_told(news / "new.txt")
    assert told.paths() == {news / "new.txt"}


def test_everything_is_looked_at_again_and_again(news: Path) -> None:
    with watching(news, rescan=0.1) as told:
        told.until(lambda: told.looks() == 4)
    assert told.paths() == set()


# ------------------------------------------------------------------ ends and limits


def test_a_stop_ends_it(news: Path) -> None:
    stop = threading.Event()
    changes = Watcher([news], rescan=600).changes(stop)
    assert next(changes) is None
    threading.Timer(0.1, stop.set).start()
    assert list(changes) == []
    assert listeners() == []


def test_what_is_stopped_before_it_begins_tells_nothing(news: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert list(Watcher([news]).changes(stop)) == []


def test_closing_leaves_no_thread_behind(news: Path) -> None:
    changes = Watcher([news, news / "story.txt"]).changes(threading.Event())
    assert next(changes) is None
    assert len(listeners()) == 2
    changes.close()
    assert listeners() == []


@LINUX_NAMES
@pytest.mark.parametrize("name", ["", os.fsdecode(b"caf\xe9")], ids=["inside", "root"])
def test_what_cannot_be_watched_is_said_once_and_looked_at(
    news: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = news / name
    (root / os.fsdecode(b"\xe9t\xe9")).mkdir(parents=True)
    with watching(root, rescan=0.1) as told:
        told.until(lambda: told.looks() > 4)
        deadline = time.monotonic() + DEADLINE
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("searchsvc", "WARNING")
    assert record.getMessage().startswith("cannot watch for changes, so they are looked for every 0.1 seconds: ")


@LINUX_NAMES
def test_a_file_whose_name_is_no_text_does_not_end_watching(news: Path, caplog: pytest.LogCaptureFixture) -> None:
    strange = news / os.fsdecode(b"caf\xe9.txt")
    with watching(news) as told:
        strange.write_text("one")
        told.until(lambda: told.looks() == 2)
        strange.read_text()  # as whoever indexes it does
        told.until(lambda: told.looks() == 3)
        (news / "new.txt").write_text("new")
        told.until_told(news / "new.txt")
    assert caplog.records == []
