"""Copies: a backup is one whole state, and putting one back leaves the old state or the new one, never a mixture."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from searchsvc.catalogue import Catalogue
from searchsvc.errors import BadInput, DamagedCatalogue, ModelMismatch, Unwritable

Shelf = Any  # see conftest

BEFORE = {"a": "first news", "b": "news of floods"}
AFTER = {"b": "news of fires", "c": "last news"}


@pytest.fixture
def backup(shelf: Shelf, tmp_path: Path) -> Path:
    """A backup of the shelf as it was BEFORE; by now it is as AFTER."""
    shelf.put_all([(ident, text, {}) for ident, text in BEFORE.items()])
    file = tmp_path / "backup"
    shelf.catalogue.back_up(file)
    shelf.remove("a")
    shelf.put_all([(ident, text, {}) for ident, text in AFTER.items()])
    return file


def texts(catalogue: Catalogue) -> dict[str, str]:
    """Return the texts by id, after a look at the whole file."""
    assert catalogue.check() == []
    found = {ident: catalogue.articles.get(ident) for ident in "abc"}
    return {ident: one.text for ident, one in found.items() if one}


def left(folder: Path) -> list[str]:
    """Return what lies in a folder, but for what SQLite keeps beside an open file."""
    return sorted(file.name for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm")))


# Backup


def test_a_backup_is_one_file_that_holds_everything(shelf: Shelf, backup: Path, tmp_path: Path) -> None:
    assert left(tmp_path) == ["backup", "catalogue.sqlite3"]
    alone = shutil.copy(backup, tmp_path / "elsewhere")
    copied = Catalogue(alone)
    assert texts(copied) == BEFORE
    assert copied.spaces.get() == shelf.space
    assert copied.changes.identity(2) == shelf.catalogue.changes.identity(2)
    assert copied.articles.by_row([2]) == shelf.catalogue.articles.by_row([2])
    assert (
        copied.vectors.of_articles([2], 1).vectors.tolist()
        == shelf.catalogue.vectors.of_articles([2], 1).vectors.tolist()
    )
    assert texts(shelf.catalogue) == AFTER


def test_a_backup_takes_the_place_of_an_older_one(shelf: Shelf, backup: Path) -> None:
    shelf.catalogue.back_up(backup)
    assert texts(Catalogue(backup)) == AFTER


@pytest.mark.parametrize("there", [b"", b"my thesis", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_backup_is_never_replaced(shelf: Shelf, tmp_path: Path, there: bytes) -> None:
    file = tmp_path / "thesis"
    file.write_bytes(there)
    with pytest.raises(BadInput, match=re.escape(f"{file} is there and is no backup")):
        shelf.catalogue.back_up(file)
    assert file.read_bytes() == there
    assert left(tmp_path) == ["catalogue.sqlite3", "thesis"]


def test_a_folder_is_no_backup(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no backup"):
        shelf.catalogue.back_up(tmp_path)
    with pytest.raises(BadInput, match="is no backup"):
        Catalogue.restored(tmp_path, shelf.path)


def test_a_catalogue_in_use_is_never_taken_for_a_backup(
    shelf: Shelf, tmp_path: Path, settled: Callable[[Path], None]
) -> None:
    shelf.put("a", "news")
    other = type(shelf)(tmp_path / "other.sqlite3")
    for file in (shelf.path, other.path):
        settled(file)
        with pytest.raises(BadInput, match="is no backup"):
            shelf.catalogue.back_up(file)
    assert texts(Catalogue(shelf.path)) == {"a": "news"}
    assert texts(Catalogue(other.path)) == {}


def test_a_backup_that_cannot_be_written_names_its_file(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "nowhere/backup"
    with pytest.raises(Unwritable, match=re.escape(f"{file} cannot be written: unable to open")):
        shelf.catalogue.back_up(file)


def test_a_backup_while_another_process_writes_holds_whole_transactions(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put_all([(ident, "0", {}) for ident in "abc"])
    code = """
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from searchsvc.catalogue import Catalogue
catalogue = Catalogue(Path(sys.argv[1]))
entries = [catalogue.articles.get(ident) for ident in "abc"]
for number in count(1):
    text = str(number)
    facts = {"digest": text.encode(), "content_digest": text.encode(), "file": None, "space": 1, "passages": []}
    with catalogue.writing() as writer:
        for entry in entries:
            writer.articles.put(replace(entry, text=text), **facts)
    print(number, flush=True)
"""
    command = [sys.executable, "-c", code, str(shelf.path)]
    seen = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            for round_ in range(10):
                writer.stdout.readline()
                file = tmp_path / f"backup {round_}"
                shelf.catalogue.back_up(file)
                copied = Catalogue(file)
                (text,) = set(texts(copied).values())
                assert copied.changes.last() == 3 + 6 * int(text)
                seen.append(int(text))
        finally:
            writer.kill()
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1]


# Restore


def test_restoring_puts_back_what_was_and_begins_a_new_lineage(shelf: Shelf, backup: Path, tmp_path: Path) -> None:
    old = shelf.catalogue.lineage()
    restored = Catalogue.restored(backup, shelf.path)
    assert texts(restored) == BEFORE
    assert (restored.changes.last(), restored.spaces.get()) == (2, shelf.space)
    first = restored.lineage()
    again = Catalogue.restored(backup, shelf.path)
    assert len({old, first, again.lineage()}) == 3
    assert (restored.lineage(), restored.changes.identity(2)) == (again.lineage(), again.changes.identity(2))
    assert left(tmp_path) == ["backup", "catalogue.sqlite3"]


def test_whoever_has_the_catalogue_open_goes_on_with_the_restored_one(shelf: Shelf, backup: Path) -> None:
    reader = Catalogue(shelf.path)
    old = reader.lineage()
    with reader.reading():
        assert texts(reader) == AFTER
        restored = Catalogue.restored(backup, shelf.path)
        assert (texts(reader), reader.lineage()) == (AFTER, old)
    assert texts(reader) == texts(restored) == BEFORE
    assert reader.lineage() == restored.lineage() != old
    shelf.put("c", "written by one who had it open")
    assert texts(restored) == BEFORE | {"c": "written by one who had it open"}


@pytest.mark.parametrize("harm", ["garbage", "emptied", "cut", "garbled", "missing", "older"])
def test_restoring_over_a_damaged_catalogue(
    shelf: Shelf, backup: Path, settled: Callable[[Path], None], tmp_path: Path, harm: str
) -> None:
    shelf.catalogue.close()
    settled(shelf.path)
    data = shelf.path.read_bytes()
    shelf.path.unlink()
    for end in ("-wal", "-shm"):
        shelf.path.with_name(shelf.path.name + end).unlink(missing_ok=True)
    if harm != "missing":
        header = data[:4096]
        shelf.path.write_bytes({
            "garbage": b"\xa5" * 9_999, "emptied": b"", "cut": data[: len(data) // 2 + 100],
            "garbled": header + b"\xa5" * (len(data) - 4096), "older": backup.read_bytes(),
        }[harm])  # fmt: skip
    assert texts(Catalogue.restored(backup, shelf.path)) == BEFORE
    assert left(tmp_path) == ["backup", "catalogue.sqlite3"]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("harm", ["cut", "cut to a page", "garbled", "schema", "a page's header"])
def test_a_damaged_backup_is_refused_and_nothing_changes(shelf: Shelf, backup: Path, tmp_path: Path, harm: str) -> None:
    data = backup.read_bytes()
    backup.write_bytes({
        "cut": data[: len(data) // 2 + 100], "cut to a page": data[: 3 * 4096],
        "garbled": data[:4096] + b"\xa5" * (len(data) - 4096), "schema": flipped(data, 100),
        "a page's header": flipped(data, 4096),
    }[harm])  # fmt: skip
    lineage = shelf.catalogue.lineage()
    with pytest.raises(DamagedCatalogue, match=re.escape(f"the backup {backup} is damaged")):
        Catalogue.restored(backup, shelf.path)
    assert (texts(shelf.catalogue), shelf.catalogue.lineage()) == (AFTER, lineage)
    assert left(tmp_path) == ["backup", "catalogue.sqlite3"]


@pytest.mark.parametrize("harm", ["missing", "empty", "text", "another database"])
def test_what_is_no_backup_is_refused_and_nothing_changes(
    shelf: Shelf, backup: Path, tmp_path: Path, harm: str
) -> None:
    backup.unlink()
    if harm == "another database":
        sqlite3.connect(backup).execute("CREATE TABLE articles (id TEXT)").connection.close()
    elif harm != "missing":
        backup.write_bytes(b"" if harm == "empty" else b"text " * 99)
    before = left(tmp_path)
    with pytest.raises(BadInput, match=re.escape(f"{backup} is no backup of searchsvc")):
        Catalogue.restored(backup, shelf.path)
    assert texts(shelf.catalogue) == AFTER
    assert left(tmp_path) == before


def test_a_backup_of_a_newer_searchsvc_is_refused_and_nothing_changes(shelf: Shelf, backup: Path) -> None:
    db = sqlite3.connect(backup)
    db.execute("PRAGMA user_version = 9999")
    db.close()
    with pytest.raises(ModelMismatch, match="newer searchsvc"):
        Catalogue.restored(backup, shelf.path)
    assert texts(shelf.catalogue) == AFTER


# Killed at any moment

KILL = """
import os, random, signal, sys, time
from pathlib import Path
from searchsvc.catalogue import Catalogue

def act(folder):
    backup, path = folder / "backup", folder / "catalogue.sqlite3"
    Catalogue.restored(backup, path) if sys.argv[1] != "backup" else Catalogue(path).back_up(backup)

def child(folder):
    pid = os.fork()
    if pid == 0:
        try:
            act(folder)
        finally:
            os._exit(0)
    return pid

unharmed, *folders = map(Path, sys.argv[2:])
began = time.perf_counter()
os.waitpid(child(unharmed), 0)
took = time.perf_counter() - began
for number, folder in enumerate(folders):
    pid = child(folder)
    time.sleep(random.Random(number).uniform(0, 1.1 * took))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("act", ["backup", "restore", "restore where nothing is"])
def test_whatever_is_killed_leaves_the_old_state_or_the_new_one(
    shelf: Shelf, tmp_path: Path, settled: Callable[[Path], None], act: str
) -> None:
    shelf.put_all([(f"more {number}", f"{number} says. " * 400, {}) for number in range(300)])
    file = tmp_path / "backup"
    shelf.put_all([(ident, text, {}) for ident, text in BEFORE.items()])
    shelf.catalogue.back_up(file)
    shelf.remove("a")
    shelf.put_all([(ident, text, {}) for ident, text in AFTER.items()])
    lineage = shelf.catalogue.lineage()
    shelf.catalogue.close()
    settled(shelf.path)
    folders = [tmp_path / str(number) for number in range(13)]
    for folder in folders:
        folder.mkdir()
        for one in (file, shelf.path):
            shutil.copy(one, folder / one.name)
        if act == "restore where nothing is":
            (folder / shelf.path.name).unlink()
    subprocess.run([sys.executable, "-c", KILL, act, *map(os.fspath, folders)], check=True, timeout=60)
    for folder in folders:
        backup, path = folder / "backup", folder / "catalogue.sqlite3"
        if act == "restore where nothing is" and not path.exists():
            continue
        found = Catalogue(path)
        if act == "restore where nothing is":
            assert texts(found) == BEFORE
        elif act == "restore":
            assert (texts(found), found.lineage() == lineage) in ((BEFORE, False), (AFTER, True))
        else:
            assert (texts(found), found.lineage()) == (AFTER, lineage)
            assert texts(Catalogue.restored(backup, tmp_path / "tried")) in (BEFORE, AFTER)
        # What was left lying about is in nobody's way, and goes.
        found.back_up(backup)
        assert texts(Catalogue.restored(backup, path)) == texts(found)
        assert left(folder) == ["backup", "catalogue.sqlite3"]
