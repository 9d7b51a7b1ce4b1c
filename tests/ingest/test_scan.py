"""Scanning: what is found, and which of the files that were known count as deleted."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from searchsvc.catalogue import Catalogue, FileState
from searchsvc.ingest.scan import Kept, Scan, scan
from searchsvc.text.article import Problem, storable

NOT_THERE = "no such file or folder"
NOBODY = 65_534


def made(root: Path, *names: str) -> list[Path]:
    """Make files below a folder, and return their paths in the order of their names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("A headline\n\nIt rained.")
    return sorted(root / name for name in names)


def scanned(
    *roots: Path, known: Iterable[Path] = (), only: Iterable[Path] | None = None, prune: bool = False, key: str = ""
) -> Scan:
    """Scan, these files being known from before."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue(Path(folder) / "catalogue.sqlite3", create=True)
        with catalogue.writing() as writer:
            for path in known:
                writer.files.end(storable(str(path)), FileState(key or None, 1, 1, 1, 1, b"", "1"))
        found = scan(roots, catalogue, only=None if only is None else list(only), prune=prune)
        catalogue.close()
    return found


def gone(found: Scan) -> list[str]:
    """Return the names of the files that count as deleted."""
    return [Path(name).name for name in found.vanished]


@pytest.fixture
def news(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    return folder


# What is found


def test_files_are_found_once_with_their_key_and_what_is_known_of_them(news: Path) -> None:
    a, b = made(news, "a.txt", "sub/b.txt")
    found = scanned(news, b, news / "sub", news, known=[b], key="key of b")
    assert [(file.path, file.name, file.key) for file in found.files] == [
        (a, str(a), "a.txt"),
        (b, str(b), "key of b"),
    ]
    assert [*found.known] == [str(b)]
    assert (found.vanished, found.kept, found.problems) == ([], [], [])


@pytest.mark.parametrize("outer_first", [True, False])
def test_of_two_roots_the_inner_one_is_judged_with_the_outer(news: Path, outer_first: bool) -> None:
    known = made(news, "a.txt", "b.txt", "sub/c.txt")
    roots = [news, news / "sub"] if outer_first else [news / "sub", news]
    (news / "sub" / "c.txt").unlink()
    found = scanned(*roots, known=known)
    assert (gone(found), found.kept) == (["c.txt"], [])
    assert sorted(file.name for file in found.files) == [str(path) for path in known[:2]]


def test_an_inner_root_that_is_not_there_keeps_what_it_held(news: Path) -> None:
    known = made(news, "a.txt", "b.txt", "sub/c.txt")
    shutil.rmtree(news / "sub")
    found = scanned(news, news / "sub", known=known)
    assert (found.vanished, found.kept, found.problems) == ([], [Kept(str(news / "sub"), 1, 1)], [])


def test_a_root_that_is_a_link_is_the_folder_that_it_leads_to(news: Path, tmp_path: Path) -> None:
    (file,) = made(news, "a.txt")
    link = tmp_path / "link"
    link.symlink_to(news)
    assert [one.name for one in scanned(link, news).files] == [str(file)]


@pytest.mark.parametrize("name", ["nowhere", "x" * 300, "loop"])
def test_a_root_that_cannot_be_looked_at_is_a_problem_and_the_others_are_scanned(news: Path, name: str) -> None:
    (file,) = made(news, "a.txt")
    if name == "loop":
        (news.parent / name).symlink_to(name)
    found = scanned(news.parent / name, news)
    assert [one.path for one in found.files] == [file]
    assert [problem.where for problem in found.problems] == [str(news.parent / name)]


# What is gone


def test_a_deleted_file_has_vanished(news: Path) -> None:
    known = made(news, "a.txt", "b.txt", "c.txt")
    known[1].unlink()
    found = scanned(news, known=known)
    assert (gone(found), found.kept, [file.path for file in found.files]) == (["b.txt"], [], [known[0], known[2]])


def test_up_to_half_of_the_files_may_be_deleted_at_once_and_more_are_kept(news: Path) -> None:
    known = made(news, *(f"{n}.txt" for n in range(6)))
    for file in known[:3]:
        file.unlink()
    assert gone(scanned(news, known=known)) == ["0.txt", "1.txt", "2.txt"]
    known[3].unlink()
    found = scanned(news, known=known)
    assert (found.vanished, found.kept) == ([], [Kept(str(news), 4, 6)])
    assert gone(scanned(news, known=known, prune=True)) == ["0.txt", "1.txt", "2.txt", "3.txt"]


def test_new_files_do_not_make_up_for_those_that_are_gone(news: Path) -> None:
    known = made(news, "a.txt", "b.txt")
    for file in known:
        file.unlink()
    new = made(news, "new/a.txt", "new/b.txt", "new/c.txt")
    found = scanned(news, known=known)
    assert ([file.path for file in found.files], found.kept) == (new, [Kept(str(news), 2, 2)])


def test_of_an_empty_folder_all_is_kept_unless_pruned(news: Path) -> None:
    known = [news / "a.txt"]
    found = scanned(news, known=known)
    assert (found.vanished, found.kept, found.problems) == ([], [Kept(str(news), 1, 1)], [])
    pruned = scanned(news, known=known, prune=True)
    assert (gone(pruned), pruned.kept) == (["a.txt"], [])


@pytest.mark.parametrize("only", [None, "a.txt", "sub", "."])
def test_of_a_folder_that_is_not_there_all_is_kept_and_that_is_said(news: Path, only: str | None) -> None:
    known = [news / name for name in ("a.txt", "b.txt", "c.txt", "sub/d.txt")]
    news.rmdir()
    found = scanned(news, known=known, only=only and [news / only])
    assert (found.vanished, found.problems) == ([], [])
    assert found.kept == [Kept(str(news), 1 if only in {"a.txt", "sub"} else 4, 4)]


def test_a_folder_that_was_deleted_on_purpose_is_pruned_without_complaint(news: Path, tmp_path: Path) -> None:
    known = [news / "a.txt", news / "sub" / "b.txt"]
    news.rmdir()
    found = scanned(news, tmp_path / "never", known=known, prune=True)
    assert gone(found) == ["a.txt", "b.txt"]
    assert found.problems == [Problem(str(tmp_path / "never"), NOT_THERE)]


def test_a_root_that_is_a_file_is_kept_when_it_is_not_there_and_goes_when_pruned(news: Path) -> None:
    file = news / "a.txt"
    found = scanned(file, known=[file])
    assert (found.vanished, found.kept, found.problems) == ([], [Kept(str(file), 1, 1)], [])
    assert gone(scanned(file, known=[file], prune=True)) == ["a.txt"]


def test_a_folder_that_was_deleted_goes_and_one_that_was_emptied_is_kept(news: Path) -> None:
    known = made(news, *(f"{n}.txt" for n in range(6)), "deleted/a.txt", "deleted/b.txt", "emptied/sub/c.txt",
                 "emptied/sub/d.txt", "one/e.txt")  # fmt: skip
    shutil.rmtree(news / "deleted")
    for name in ("emptied/sub/c.txt", "emptied/sub/d.txt", "one/e.txt"):
        (news / name).unlink()
    found = scanned(news, known=known)
    assert sorted(gone(found)) == ["a.txt", "b.txt", "e.txt"]
    assert found.kept == [Kept(str(news / "emptied" / "sub"), 2, 2)]
    assert len(scanned(news, known=known, prune=True).vanished) == 5


def test_a_file_in_whose_place_there_is_a_link_or_a_folder_is_gone(news: Path) -> None:
    known = made(news, "a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt")
    for file in known[:3]:
        file.unlink()
    known[0].symlink_to("d.txt")  # found under its own name
    known[1].symlink_to(news.parent)  # leads out
    known[2].mkdir()
    assert gone(scanned(news, known=known)) == ["a.txt", "b.txt", "c.txt"]


@pytest.mark.parametrize("name", [".hidden/a.txt", "README.md", "notes.strange"])
def test_a_file_that_no_walk_yields_but_that_is_there_is_not_gone(news: Path, name: str) -> None:
    """It was named once, by itself or with its hidden folder."""
    known = made(news, "a.txt", "b.txt", name)
    for only in (None, [news], [news / name], [(news / name).parent]):
        assert scanned(news, known=known, only=only, prune=True).vanished == []
    (news / name).unlink()
    assert gone(scanned(news, known=known)) == [Path(name).name]


@pytest.fixture
def closed() -> Iterator[Path]:
    """Return a folder of which `sub` may not be read, by this user, for as long as the test lasts."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "news"
        made(root, "a.txt", "sub/b.txt", "sub/deeper/c.txt")
        (root / "sub").chmod(0)
        root.parent.chmod(0o755)
        if before == 0:
            os.seteuid(NOBODY)  # to root nothing can be denied
        try:
            yield root
        finally:
            os.seteuid(before)
            (root / "sub").chmod(0o700)


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("only", [None, "sub", "sub/b.txt", "."])
def test_what_lies_in_a_folder_that_may_not_be_read_is_kept_even_when_pruned(
    closed: Path, only: str | None, prune: bool
) -> None:
    known = [closed / name for name in ("a.txt", "sub/b.txt", "sub/deeper/c.txt")]
    found = scanned(closed, known=known, only=only and [closed / only], prune=prune)
    assert (found.vanished, found.kept) == ([], [])
    assert [problem.reason for problem in found.problems] == ["permission denied"]


def test_a_name_that_is_no_text_is_known_again_when_it_cannot_be_read(news: Path) -> None:
    a, b, c = made(news, "a.txt", "b.txt", os.fsdecode(b"caf\xe9.txt"))
    c.unlink()
    c.symlink_to("nowhere.txt")
    found = scanned(news, known=[a, b, Path(rf"{news}/caf\udce9.txt")])
    assert (found.vanished, found.problems) == ([], [Problem(rf"{news}/caf\udce9.txt", NOT_THERE)])


# Only some paths


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (["a.txt"], ["a.txt"]),
        (["sub"], ["sub/b.txt", "sub/c.txt"]),
        (["sub", "sub/b.txt", "a.txt"], ["a.txt", "sub/b.txt", "sub/c.txt"]),
        (["."], ["a.txt", "inner.txt", "sub/b.txt", "sub/c.txt"]),
        ([".hidden", ".hidden/h.txt", "sub/.h.txt"], []),
        (["README.md", "sub/readme.txt"], []),
        (["x.pdf", "nowhere", "nowhere/a.txt", "a.txt/inside.txt"], []),
        (["again.txt", "out.txt", "outside", "outside/o.txt"], []),
        (["inner.txt"], ["inner.txt"]),
        (["..", "../elsewhere.txt"], []),
    ],
)
def test_of_some_paths_what_a_whole_scan_would_find_of_them(news: Path, only: list[str], found: list[str]) -> None:
    made(news, "a.txt", "sub/b.txt", "sub/c.txt", ".hidden/h.txt", "sub/.h.txt", "README.md", "sub/readme.txt",
         "x.pdf", "inner", "../elsewhere.txt", "../outside/o.txt")  # fmt: skip
    for name, goal in (("again.txt", "a.txt"), ("out.txt", "../elsewhere.txt"), ("outside", "../outside"),
                       ("inner.txt", "inner")):  # fmt: skip
        (news / name).symlink_to(goal)
    known = made(news, "a.txt", "sub/b.txt")
    paths = [Path(os.path.normpath(news / name)) for name in only]
    part = scanned(news, known=known, only=paths)
    assert [file.key for file in part.files] == found
    assert (part.vanished, part.kept, part.problems) == ([], [], [])


def test_of_some_paths_only_what_is_gone_at_them_has_vanished(news: Path) -> None:
    known = made(news, *(f"{n}.txt" for n in range(8)), "sub/a.txt", "sub/b.txt")
    shutil.rmtree(news / "sub")
    for file in known[:3]:
        file.unlink()
    assert gone(scanned(news, known=known, only=[known[1]])) == ["1.txt"]
    assert gone(scanned(news, known=known, only=[news / "sub"])) == ["a.txt", "b.txt"]
    assert gone(scanned(news, known=known, only=[news / "sub" / "a.txt", known[0], known[4]])) == ["0.txt", "a.txt"]
    assert scanned(news, known=known, only=[]).vanished == []


def test_most_of_a_folder_is_kept_whichever_of_its_paths_are_named(news: Path) -> None:
    known = made(news, "a.txt", "b.txt", "c.txt")
    for file in known[:2]:
        file.unlink()
    found = scanned(news, known=known, only=known[:2])
    assert (found.vanished, found.kept) == ([], [Kept(str(news), 2, 3)])
    assert gone(scanned(news, known=known, only=known[:2], prune=True)) == ["a.txt", "b.txt"]
