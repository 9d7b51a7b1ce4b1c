"""The compiled model and sentence-transformers agree, and the compiled one needs no torch."""

import json
import shutil
import subprocess
import sys
import warnings
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


def load_original(name, where):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and transformers warn of their own future
        from searchsvc.models.sentence_transformer import OriginalEmbedder

        return OriginalEmbedder.load(name, where, "cpu")


@pytest.fixture(scope="module")
def original():
    return load_original(BUNDLED, locate(BUNDLED))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model of two thin layers, as sentence-transformers lays it out, which is compiled in seconds; its path."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(locate(BUNDLED), folder, ignore=shutil.ignore_patterns("model.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    (folder / "config.json").write_text(json.dumps({**config, **small, "initializer_range": 0.2}), encoding="utf-8")
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text(encoding="utf-8").replace("384", "32"), encoding="utf-8")
    limits = {"max_seq_length": 128, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(limits), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from transformers import BertConfig, BertModel

        with torch.random.fork_rng():
            torch.manual_seed(7)
            BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, tiny):
    """The user's cache folder, in which the tiny model lies compiled."""
    cache = tmp_path_factory.mktemp("cache")
    messages = []
    first = load_embedder(tiny, device="cpu", cache=cache, announce=messages.append)
    second = load_embedder(tiny, device="cpu", cache=cache, announce=messages.append)
    assert [line.split(" for this machine")[0] for line in messages] == [f"Preparing the model {tiny}"]
    assert first.fingerprint == second.fingerprint
    return cache


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


def test_the_first_use_compiles_and_says_so_and_the_second_does_not(tiny, cache):
    folder = cache_folder(Path(tiny), cache, EMBEDDER.form)
    assert sorted(path.name for path in folder.iterdir()) == [
        "facts.json", "model.bin", "model.xml", "tokenizer.json", "words.npy",
    ]  # fmt: skip


def test_a_damaged_compiled_model_is_compiled_again(tmp_path, tiny, cache):
    shutil.copytree(cache, tmp_path / "cache")
    file = cache_folder(Path(tiny), tmp_path / "cache", EMBEDDER.form) / "model.xml"
    file.write_bytes(file.read_bytes()[:1000])
    messages = []
    repaired = load_embedder(tiny, device="cpu", cache=tmp_path / "cache", announce=messages.append)
    assert len(messages) == 1
    original = load_embedder(tiny, device="cpu", cache=cache, announce=messages.append)
    assert float(repaired.question("hello") @ original.question("hello")) > 0.9999


def test_a_model_that_does_not_exist_is_named_in_the_error(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelFailed, match=r"nothing cannot be loaded"):
        load_embedder(str(tmp_path / "nothing"), device="cpu", cache=tmp_path / "cache", announce=lambda _: None)


def test_another_model_is_loaded_by_its_path_and_has_another_fingerprint(model, tiny, cache):
    own = load_embedder(tiny, device="cpu", cache=cache, announce=lambda _: None)
    assert own.longest == 128
    assert own.fingerprint != model.fingerprint
    theirs = load_original("tiny", Path(tiny))
    assert own.fingerprint == theirs.fingerprint
    assert np.sum(own.passages(TEXTS) * theirs.passages(TEXTS), axis=1).min() > 0.999


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
