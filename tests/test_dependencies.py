"""What the project is made of is declared, bounded, locked, licensed, and, for the model, checked byte by byte."""

import ast
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from searchsvc.errors import ModelFailed
from searchsvc.models.embedder import BUNDLED, BUNDLED_FILES, check_bundled, locate

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(lines: list[str]) -> dict[str, Requirement]:
    return {normalized(one.name): one for one in map(Requirement, lines)}


def imported_by(folder: Path) -> dict[str, set[str]]:
    """Return the modules of other packages that are imported below a folder, each with the files that do."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(file.relative_to(folder).as_posix())
    ours = {"searchsvc", "tests", "conftest", *(path.stem for path in folder.rglob("*.py"))}
    return {name: files for name, files in found.items() if name not in sys.stdlib_module_names | ours}


def packages_of(module: str) -> set[str]:
    return {normalized(name) for name in installed().get(module, [module])}


@cache
def installed() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def test_every_import_is_declared():
    declared = {*requirements(PROJECT["dependencies"])}
    extra = {name for lines in (EXTRAS["eval"], EXTRAS["langchain"], EXTRAS["llamaindex"], EXTRAS["slack"])
             for name in requirements(lines)}  # fmt: skip
    undeclared = {
        module: files
        for module, files in imported_by(ROOT / "searchsvc").items()
        if packages_of(module).isdisjoint(
            declared | extra if all(one.startswith(("connectors/", "evaluation/")) for one in files) else declared
        )
    }
    assert undeclared == {}


def test_every_import_of_the_tests_is_declared():
    declared = {*requirements(PROJECT["dependencies"])}
    for lines in EXTRAS.values():
        declared |= {*requirements(lines)}
    undeclared = [module for module in imported_by(ROOT / "tests") if packages_of(module).isdisjoint(declared)]
    assert undeclared == []


def test_every_dependency_has_an_upper_bound():
    open_ended = [
        one
        for one in PROJECT["dependencies"]
        if not any(bound.operator in {"<", "==", "~="} for bound in Requirement(one).specifier)
    ]
    assert open_ended == []


def test_the_lock_file_holds_a_version_within_bounds_for_every_dependency():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked: dict[str, list[str]] = {}
    for one in map(Requirement, (line for line in lines if line and not line.startswith("#"))):
        (pin,) = one.specifier
        assert pin.operator == "=="
        locked.setdefault(normalized(one.name), []).append(pin.version)
    asked = requirements(PROJECT["dependencies"])
    for lines in EXTRAS.values():
        asked |= requirements([line for line in lines if not line.startswith("searchsvc")])
    assert asked.keys() - locked.keys() == set()
    outside = [name for name, one in asked.items() if not all(map(one.specifier.contains, locked[name]))]
    assert outside == []


def test_the_list_of_licences_names_every_dependency_and_none_that_binds_our_users():
    rows = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", (ROOT / "docs/licences.md").read_text("utf-8"), re.M))
    assert {*requirements(PROJECT["dependencies"])} <= rows.keys()
    # Where GPL is one of several choices, or a classifier beside a permissive one, another can be taken.
    free = ("Apache", "BSD", "ISC", "MIT", "MPL", "Mozilla", "PSF", "Python Software")
    assert [row for row in rows.items() if row[0] != "package" and not any(one in row[1] for one in free)] == []


def test_the_bundled_model_is_the_one_that_was_tested():
    folder = locate(BUNDLED)
    assert isinstance(folder, Path)
    assert "model.safetensors" in BUNDLED_FILES
    check_bundled(folder)  # raises where it is not


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_bundled_model_with_one_other_bit_is_refused(tmp_path, name):
    copy = tmp_path / "model"
    shutil.copytree(locate(BUNDLED), copy)
    with (copy / name).open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ModelFailed, match=f"not the one that was tested: {re.escape(name)}"):
        check_bundled(copy)


def test_a_bundled_model_with_a_file_more_or_less_is_refused(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(locate(BUNDLED), copy)
    (copy / "pytorch_model.bin").write_bytes(b"another set of weights")
    with pytest.raises(ModelFailed, match=r"pytorch_model\.bin"):
        check_bundled(copy)
    (copy / "pytorch_model.bin").unlink()
    (copy / "vocab.txt").unlink()
    with pytest.raises(ModelFailed, match=r"vocab\.txt"):
        check_bundled(copy)
