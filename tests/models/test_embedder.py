"""The compiled model and sentence-transformers agree, and the compiled one needs no torch."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from searchsvc.errors import ModelFailed
from searchsvc.models import load_embedder
from searchsvc.models.embedder import BUNDLED, EMBEDDER, locate
from searchsvc.models.runtime import cache_folder
from searchsvc.settings import Settings

TEXTS = [
    "",
    "a",
    "what does Russia want from North Korea",
    "Russia is likely seeking ammunition, construction workers, even volunteers to go to the front line.",
    "Putin praises North Korea\nThere has been a lot of speculation about what the two sides want. " * 3,
    "El presidente anunció ayer nuevas medidas económicas para frenar la inflación.",
    "他周二抵达平壤，感谢朝鲜的支持。",
    "وصل الوزير يوم الاثنين إلى جنيف",
    "🙂 emoji, 3.14159, e-mail@example.com, https://example.com/?q=1",
    "x" * 5_000,
    "The committee met again on Tuesday to talk about the budget for the coming year. " * 60,
]


@pytest.fixture(scope="module")
def model():
    return load_embedder(BUNDLED, device="cpu", cache=Settings().cache_folder, announce=lambda _: None)


@pytest.fixture(scope="module")
def original():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and transformers warn of their own future
        from searchsvc.models.sentence_transformer import OriginalEmbedder

        yield OriginalEmbedder.load(BUNDLED, locate(BUNDLED), "cpu")


def test_it_agrees_with_sentence_transformers_on_all_kinds_of_texts(model, original):
    ours, theirs = model.passages(TEXTS), original.passages(TEXTS)
    assert np.sum(ours * theirs, axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-3)
    assert ours.shape == (len(TEXTS), 384)


def test_a_question_has_the_vector_that_sentence_transformers_gives_it(model, original):
    for text in TEXTS:
        assert float(model.question(text) @ original.question(text)) > 0.999


def test_what_it_is_does_not_depend_on_how_it_is_run(model, original):
    facts = ("fingerprint", "dimension", "longest", "before_question", "before_passage")
    assert [getattr(model, name) for name in facts[:3]] == [getattr(original, name) for name in facts[:3]]
    assert model.longest == 256


def test_a_vector_does_not_depend_on_the_batch(model):
    alone = np.stack([model.passages([text])[0] for text in TEXTS])
    together = model.passages(TEXTS * 5)[len(TEXTS) : 2 * len(TEXTS)]
    assert np.sum(alone * together, axis=1).min() > 0.9995


def test_no_texts_no_vectors(model):
    assert model.passages([]).shape == (0, 384)
    assert model.sentences([]).shape == (0, 128)


def test_many_threads_get_the_vectors_that_one_would(model):
    questions = [f"{text[:200]} {number}" for number in range(6) for text in TEXTS]
    alone = [model.question(text) for text in questions]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(model.question, questions))
    assert min(float(a @ b) for a, b in zip(alone, together, strict=True)) > 0.9995


def test_sentences_that_mean_alike_are_near(model):
    question, near, far = model.sentences(
        ["what does Russia want", "Russia is seeking ammunition and workers.", "The band played all night."]
    )
    assert float(question @ near) > float(question @ far) + 0.2
    assert model.sentences([""])[0].tolist() == [0.0] * 128


@pytest.mark.usefixtures("model")
def test_the_compiled_model_runs_without_torch_transformers_or_telemetry(tmp_path):
    code = """
import sys
from pathlib import Path
from searchsvc.models import load_embedder
from searchsvc.models.embedder import BUNDLED
from searchsvc.settings import Settings
model = load_embedder(BUNDLED, device="auto", cache=Settings().cache_folder, announce=print)
model.question("hello"); model.passages(["hello"]); model.sentences(["hello"]); model.tokenizer
heavy = {"torch", "transformers", "sentence_transformers", "openvino_telemetry"}
print(sorted(name for name in heavy if sys.modules.get(name)))
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin", "SEARCHSVC_CACHE": str(Settings().cache_folder)}
    code = code.replace("Settings()", "Settings.from_environment()")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing was written into the home folder, no telemetry consent either


def test_the_first_use_compiles_and_says_so_and_the_second_does_not(tmp_path):
    said = []
    first = load_embedder(BUNDLED, device="cpu", cache=tmp_path, announce=said.append)
    assert [line.split(" for this machine")[0] for line in said] == ["Preparing the model all-MiniLM-L6-v2"]
    second = load_embedder(BUNDLED, device="cpu", cache=tmp_path, announce=said.append)
    assert len(said) == 1
    assert first.fingerprint == second.fingerprint
    folder = cache_folder(locate(BUNDLED), tmp_path, EMBEDDER.form)
    assert sorted(path.name for path in folder.iterdir()) == [
        "facts.json", "model.bin", "model.xml", "tokenizer.json", "words.npy",
    ]  # fmt: skip


def test_a_damaged_compiled_model_is_compiled_again(tmp_path, model):
    source = cache_folder(locate(BUNDLED), Settings().cache_folder, EMBEDDER.form)
    target = cache_folder(locate(BUNDLED), tmp_path, EMBEDDER.form)
    shutil.copytree(source, target)
    (target / "model.xml").write_bytes((target / "model.xml").read_bytes()[:1000])
    said = []
    mended = load_embedder(BUNDLED, device="cpu", cache=tmp_path, announce=said.append)
    assert len(said) == 1
    assert float(mended.question("hello") @ model.question("hello")) > 0.9999


def test_a_model_that_does_not_exist_is_named_in_the_error(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelFailed, match=r"nothing cannot be loaded"):
        load_embedder(str(tmp_path / "nothing"), device="cpu", cache=tmp_path / "cache", announce=lambda _: None)


def test_another_model_is_loaded_by_its_path_and_has_another_fingerprint(tmp_path, model):
    folder = tmp_path / "own"
    shutil.copytree(Path(locate(BUNDLED)), folder)
    config = folder / "sentence_bert_config.json"
    config.write_text(json.dumps({"max_seq_length": 128, "do_lower_case": False}), encoding="utf-8")
    own = load_embedder(str(folder), device="cpu", cache=tmp_path / "cache", announce=lambda _: None)
    assert own.longest == 128
    assert own.fingerprint != model.fingerprint
    assert float(own.question("hello there") @ model.question("hello there")) > 0.999


RACE = """
import sys, threading
from pathlib import Path
from searchsvc.models import load_embedder
from searchsvc.models.embedder import BUNDLED

embedder = load_embedder(BUNDLED, device="cpu", cache=Path(sys.argv[1]), announce=print)
go = threading.Barrier(8)

def ask(number):
    go.wait()
    for more in range(3):
        embedder.question("what " * (1 + number + 7 * more))

threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("_time", range(4))
def test_threads_that_ask_first_at_the_same_moment_are_all_answered(_time: int) -> None:
    cache = str(Settings().cache_folder)
    subprocess.run([sys.executable, "-c", RACE, cache], check=True, timeout=120)
