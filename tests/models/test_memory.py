"""Too little memory is said in a sentence, wherever it is too little: the process is not ended by a library."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from searchsvc.errors import TooLittleMemory
from searchsvc.library import Library
from searchsvc.models.memory import free_memory, require_memory
from searchsvc.text.article import RawArticle

MEGABYTE = 1_000_000


@pytest.mark.parametrize("megabytes", [260, 330, 500, 700])
def test_a_search_that_is_allowed_too_little_memory_ends_with_a_sentence(
    open_library: Callable[[], Library], megabytes: int
) -> None:
    shelf = open_library()
    shelf.add([RawArticle("a", "First", "The committee spoke of copper.")])
    bound = megabytes * MEGABYTE
    command = [sys.executable, "-m", "searchsvc", "search", "--index", str(shelf.folder), "copper"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (bound, bound)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.splitlines()[-1].startswith("searchsvc: there is too little memory to "), done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_needed_is_compared_with_what_there_is() -> None:
    free = free_memory()
    require_memory("do nothing", 0, 0)
    for needed in ((0, 1 << 50), *([(1 << 50, 0)] if free.address_space is not None else [])):
        with pytest.raises(TooLittleMemory, match=r"^there is too little memory to fly: about [0-9,]+ MB of ") as said:
            require_memory("fly", *needed)
        assert said.value.hint is not None


def test_a_model_that_does_not_fit_is_not_taken_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from searchsvc.models import load_embedder, runtime

    folder = runtime.cache_folder(tmp_path, tmp_path / "cache", "form")
    monkeypatch.setattr(runtime, "cache_folder", lambda *_: folder)
    folder.mkdir(parents=True)
    (folder / "facts.json").write_text("{}")
    with (folder / "model.bin").open("wb") as stream:
        os.truncate(stream.fileno(), 1 << 42)
    with pytest.raises(TooLittleMemory, match="load the model"):
        load_embedder(str(tmp_path), device="cpu", cache=tmp_path / "cache", announce=lambda _: None)
    assert (folder / "facts.json").exists()
