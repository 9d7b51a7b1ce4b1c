"""Export: a model is compiled once, by a process of its own (`python -P -m searchsvc.models.export`).

sentence-transformers loads the model whole, OpenVINO traces it from token ids to what sentence-transformers would
return, and both are compared on texts of several lengths. A model that cannot be traced, or whose output then differs,
is refused in facts.json and runs through sentence-transformers instead.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from searchsvc.errors import ModelFailed
from searchsvc.models import Vectors
from searchsvc.models.embedder import BATCH, EMBEDDER, CompiledEmbedder
from searchsvc.models.reranker import RERANKER, CompiledReranker
from searchsvc.models.runtime import cores, infer_batches, open_model
from searchsvc.models.sentence_transformer import OriginalEmbedder, OriginalReranker

MIN_COSINE = 0.999
MAX_DIFFERENCE, MAX_ROUNDED_DIFFERENCE = 1e-3, 0.05  # of a score: in float32, and as this processor will run it
WORD_DIMENSIONS = 128
QUESTIONS = ("what does Russia want from North Korea", "what " * 600)
TEXTS = (
    "",
    "Russia is likely seeking ammunition, construction workers, even volunteers to go to the front line.",
    "what does Russia want from North Korea",
    "El presidente anunció ayer nuevas medidas económicas.",
    "Nuevas medidas\nEl presidente anunció ayer nuevas medidas económicas.",
    "The committee met on Tuesday. " * 200,
)

Facts = dict[str, Any]


def main(kind: str, model: str, folder: Path) -> None:
    """Compile the model at a path, or of a name, into a new folder; `kind` is `embedder` or `reranker`."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    where = Path(model) if Path(model).is_dir() else model
    folder.mkdir(parents=True)
    {EMBEDDER.name: _export_embedder, RERANKER.name: _export_reranker}[kind](model, where, folder)


def _export_embedder(model: str, where: Path | str, folder: Path) -> None:
    original = OriginalEmbedder.load(model, where, "cpu")
    original.tokenizer.save(str(folder / "tokenizer.json"))
    facts = {
        "fingerprint": original.fingerprint,
        "dimension": original.dimension,
        "longest": original.longest,
        "before_question": original.before_question,
        "before_passage": original.before_passage,
    }

    def difference() -> str | None:
        np.save(folder / "words.npy", _token_vectors(original, folder))
        vectors = CompiledEmbedder(model, folder).passages(TEXTS)
        cosine = np.sum(vectors * original.passages(TEXTS), axis=1).min()
        return None if cosine > MIN_COSINE else f"its vectors differ (cosine {cosine:.4f})"

    _export(_UnitVectors(original.model), ["input_ids", "attention_mask"], folder, facts, difference)


def _export_reranker(model: str, where: Path | str, folder: Path) -> None:
    original = OriginalReranker.load(model, where, "cpu")
    original.tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"fingerprint": original.fingerprint, "longest": original.longest}

    def difference() -> str | None:
        expected = [original.scores(question, TEXTS) for question in QUESTIONS]
        for exact, max_difference in ((True, MAX_DIFFERENCE), (False, MAX_ROUNDED_DIFFERENCE)):
            compiled = CompiledReranker(model, folder, exact=exact)
            scores = [compiled.scores(question, TEXTS) for question in QUESTIONS]
            difference = np.abs(np.subtract(scores, expected)).max()
            if not difference <= max_difference:
                return f"its scores differ by {difference:.4f}"
        return None

    accepted = original.model.tokenizer.model_input_names
    inputs = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]
    _export(_PairScores(original.model), inputs, folder, facts, difference)


def _export(
    module: torch.nn.Module, inputs: list[str], folder: Path, facts: Facts, difference: Callable[[], str | None]
) -> None:
    """Write model.xml, model.bin and facts.json; `difference` says how the compiled model differs from the original."""
    refusal = _trace(module, inputs, folder)
    if refusal is None:
        _write_facts(folder, facts | {"refusal": None})
        try:
            reason = difference()
        except (ModelFailed, RuntimeError, ValueError) as error:
            reason = f"it does not run: {str(error).strip().splitlines()[-1][:200]}"
        refusal = reason and f"compiled, {reason}"
    _write_facts(folder, facts | {"refusal": refusal})


def _trace(module: torch.nn.Module, inputs: list[str], folder: Path) -> str | None:
    """Write model.xml and model.bin; return the reason where the model cannot be traced."""
    import openvino

    example = torch.ones((2, 16), dtype=torch.long)
    try:
        with torch.no_grad():
            traced = openvino.convert_model(module, example_input=dict.fromkeys(inputs, example))
        openvino.save_model(traced, folder / "model.xml", compress_to_fp16=False)
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        return f"OpenVINO cannot trace it: {str(error).splitlines()[0][:200]}"
    return None


def _write_facts(folder: Path, facts: Facts) -> None:
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


class _UnitVectors(torch.nn.Module):  # type: ignore[misc]
    """An embedder as one module from token ids to vectors of length one."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.accepted = set(model.tokenizer.model_input_names)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        features = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": torch.zeros_like(input_ids),
        }
        outputs = self.model({name: tensor for name, tensor in features.items() if name in self.accepted})
        return torch.nn.functional.normalize(outputs["sentence_embedding"], dim=-1)


class _PairScores(torch.nn.Module):  # type: ignore[misc]
    """A cross-encoder as one module from the tokens of pairs to a number for each."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            features["token_type_ids"] = token_type_ids
        return self.model(features)["scores"].reshape(-1, 1)


def _token_vectors(original: OriginalEmbedder, folder: Path) -> Vectors:
    """Return a short vector for each token: the model's, less the mean of all, weighted by how rare the token is.

    Method: Tulkens & van Dongen, Model2Vec (2024). Vocabularies are ordered by frequency, so log(rank) stands in for a
    token's inverse frequency (Zipf's law); of the dimensions, the 128 along which the vectors differ most are kept
    (principal components).
    """
    tokenizer = original.tokenizer
    size = tokenizer.get_vocab_size()
    template = tokenizer.encode("a").ids
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    place = template.index(plain[0])
    ids = [[*template[:place], token, *template[place + len(plain) :]] for token in range(size)]
    vectors = infer_batches(open_model(folder, streams=cores()), original.dimension, BATCH, ids)
    vectors -= vectors.mean(axis=0)
    vectors *= np.log(1 + np.arange(size, dtype=np.float32))[:, None]
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    short: Vectors = np.ascontiguousarray(vectors @ directions[:, ::-1][:, :WORD_DIMENSIONS], np.float32)
    return short


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
