"""README says what is so: its tree, its table of settings, its formats and its commands."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import searchsvc
from searchsvc.readers import READERS
from searchsvc.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_the_settings():
    rows = re.findall(r"^\| `(SEARCHSVC_\w+)` \| (?:`([^`]*)`)? ?\| (.*) \|$", README, re.MULTILINE)
    declared = [
        (PREFIX + one.name.upper(), "" if one.default in ("", Path()) else str(one.default), one.metadata["help"])
        for one in fields(Settings)
    ]
    assert rows == declared


def test_the_tree_names_every_module():
    tree = README.split("```\nsearchsvc/\n")[1].split("```")[0]
    named = set(re.findall(r"^    ([a-z_]+(?:\.py|/))", tree, re.MULTILINE))
    package = Path(searchsvc.__file__).parent
    there = {path.name + "/" if path.is_dir() else path.name for path in package.iterdir()}
    assert named == there - {"__init__.py", "__main__.py", "__pycache__/", "py.typed"}


def test_the_table_of_formats_names_every_suffix():
    table = README.split("| format | files |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\.\w+)`", table)) == set(READERS)


@pytest.mark.parametrize("command", re.findall(r"^searchsvc (\w+)", README, re.MULTILINE))
def test_every_command_shown_exists(command):
    done = subprocess.run(
        [sys.executable, "-m", "searchsvc", command, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_is_what_the_program_prints(tmp_path):
    example = README.split("```console\n$ ")[1].split("```")[0]
    command, _, printed = example.partition("\n")
    environment = {**os.environ, "COLUMNS": "88", "SEARCHSVC_INDEX": str(tmp_path / "index")}
    typed = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(typed, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(printed)
    assert re.search(r"^1 article found in \d+ ms among 1 article \(as of ", done.stdout, re.MULTILINE)
