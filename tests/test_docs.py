"""README, docs/ and the pages beside them are true: their trees, tables, links, commands and examples."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import searchsvc
from searchsvc.interfaces.cli.arguments import parser
from searchsvc.readers import READERS
from searchsvc.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "index/README.md", ROOT / "seeds/README.md"]
}
README = PAGES["README.md"]


def blocks(language):
    """Return the code blocks of all pages in a language, as parameters named for their page."""
    return [
        pytest.param(block, id=f"{name}-{number}")
        for name, page in PAGES.items()
        for number, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S), 1)
    ]


def commands():
    """Return every command line of searchsvc that a page shows, without those beside it on the same line."""
    found = []
    for line in "".join(block.values[0] for block in blocks("sh")).replace("\\\n", "").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        command = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|<>"):
                command.append(word)
                continue
            if "searchsvc" in command and command[0] != "pip":
                found.append(command[command.index("searchsvc") + 1 :])
            command = []
    return found


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", page, re.M)}


def test_the_table_of_settings_is_the_settings():
    page = PAGES["docs/operating.md"]
    rows = re.findall(r"^\| `(SEARCHSVC_\w+)` \| (?:`([^`]*)`)? ?\| (.*) \|$", page, re.MULTILINE)
    declared = [
        (PREFIX + one.name.upper(), "" if one.default in ("", Path()) else str(one.default), one.metadata["help"])
        for one in fields(Settings)
    ]
    assert rows == declared


def test_the_tree_names_every_module():
    tree = PAGES["ARCHITECTURE.md"].split("```\nsearchsvc/\n")[1].split("```")[0]
    named = set(re.findall(r"^    ([a-z_]+(?:\.py|/))", tree, re.MULTILINE))
    package = Path(searchsvc.__file__).parent
    modules = {path.name + "/" if path.is_dir() else path.name for path in package.iterdir()}
    assert named == modules - {"__init__.py", "__main__.py", "__pycache__/", "py.typed"}


def test_the_table_of_formats_names_every_suffix():
    table = PAGES["docs/articles.md"].split("| format | files |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\.\w+)`", table)) == set(READERS)


@pytest.mark.parametrize("command", [pytest.param(one, id=" ".join(one)) for one in commands()])
def test_every_command_line_shown_is_understood(command):
    parser().parse_args(command)


def test_every_command_is_shown():
    (choices,) = [action.choices for action in parser()._actions if action.dest == "command"]
    assert {command[0] for command in commands()} == set(choices)


def test_the_example_is_what_the_program_prints(tmp_path):
    example = README.split("```console\n$ ")[1].split("```")[0]
    command, _, printed = example.partition("\n")
    environment = {**os.environ, "COLUMNS": "88", "SEARCHSVC_INDEX": str(tmp_path / "index")}
    typed = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(typed, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(printed)
    assert re.search(r"^1 article found in \d+ ms among 1 article \(as of ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_block_compiles(block):
    compile(block, "block", "exec")


@pytest.mark.parametrize("block", [*blocks("json"), *blocks("yaml")])
def test_every_block_of_data_can_be_read(block):
    assert yaml.safe_load(block) if not block.startswith("{") else json.loads(block)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_path_leads_somewhere(name):
    page = PAGES[name]
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), path
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), anchor
    named = re.findall(r"`((?:searchsvc|tests|docs)/[\w./]+)`", page)
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def test_readme_is_short_and_names_every_page():
    assert len(README.splitlines()) < 200
    pages = {name for name in PAGES if name.startswith("docs/")} | {
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    }
    assert {name for name in pages if f"({name})" not in README} == set()


def test_the_changelog_begins_with_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.findall(r"^## \[?([\d.]+)", PAGES["CHANGELOG.md"], re.MULTILINE)[0] == project["version"]


def test_every_recipe_that_contributing_names_exists():
    recipes = set(re.findall(r"^([a-z]+)[^\n:=]*:$", (ROOT / "justfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^just ([a-z]+)", PAGES["CONTRIBUTING.md"], re.MULTILINE)) == recipes - {"default"}
