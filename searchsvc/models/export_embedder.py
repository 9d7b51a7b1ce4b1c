"""Compiling a model: run once a model, as a process of its own (`python -m searchsvc.models.export_embedder`).

sentence-transformers loads the model whole, OpenVINO traces it from token ids to the vector that
sentence-transformers would return, and both are compared on sentences of several lengths. A model that cannot be
traced, or that then disagrees, is refused in facts.json and runs through sentence-transformers instead.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from searchsvc.models.compiled_embedder import BATCH
from searchsvc.models.embedder import Vectors
from searchsvc.models.runtime import cores, open_network, run_batches
from searchsvc.models.torch_embedder import Transformer

AGREEMENT = 0.999
WORD_DIMENSIONS = 128
SAMPLES = (
    "",
    "Russia is likely seeking ammunition, construction workers, even volunteers to go to the front line.",
    "what does Russia want from North Korea",
    "El presidente anunció ayer nuevas medidas económicas.",
    "The committee met on Tuesday. " * 200,
)


def main(model: str, folder: Path) -> None:
    """Compile the model at a path, or of a name, into a folder."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    source = Path(model)
    original = Transformer.load(model, source if source.is_dir() else model, "cpu")
    folder.mkdir(parents=True)
    original.tokenizer.save(str(folder / "tokenizer.json"))
    facts: dict[str, Any] = {
        "fingerprint": original.fingerprint,
        "dimension": original.dimension,
        "longest": original.longest,
        "before_question": original.before_question,
        "before_passage": original.before_passage,
        "refusal": _trace(original, folder),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _trace(original: Transformer, folder: Path) -> str | None:
    """Write model.xml, model.bin and words.npy; return why not, where the model does not lend itself to it."""
    import openvino
    import torch

    class FromTokens(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = original.model
            self.accepted = set(original.model.tokenizer.model_input_names)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": torch.zeros_like(input_ids),
            }
            outputs = self.model({name: tensor for name, tensor in features.items() if name in self.accepted})
            return torch.nn.functional.normalize(outputs["sentence_embedding"], dim=-1)

    example = torch.ones((2, 16), dtype=torch.long)
    try:
        with torch.no_grad():
            traced = openvino.convert_model(
                FromTokens(), example_input={"input_ids": example, "attention_mask": example}
            )
        openvino.save_model(traced, folder / "model.xml", compress_to_fp16=False)
        network = open_network(folder / "model.xml", streams=cores())
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        return f"OpenVINO cannot trace it: {str(error).splitlines()[0][:200]}"
    reader = original.tokenizer
    reader.enable_truncation(original.longest)
    ids = [reader.encode(original.before_passage + text).ids for text in SAMPLES]
    agreement = np.sum(run_batches(network, original.dimension, BATCH, ids) * original.passages(SAMPLES), axis=1).min()
    if not agreement > AGREEMENT:
        return f"compiled, its vectors differ (cosine {agreement:.4f})"
    np.save(folder / "words.npy", _words(network, original))
    return None


def _words(network: Any, original: Transformer) -> Vectors:
    """Return a short vector for each token: the model's, less the mean of all, weighted by how rare the token is.

    Method: Tulkens & van Dongen, Model2Vec (2024). Vocabularies are ordered by how often a token was seen, so
    log(rank) stands in for its inverse frequency (Zipf's law); of the dimensions, the 128 along which the vectors
    differ most are kept (principal components).
    """
    reader = original.tokenizer
    size = reader.get_vocab_size()
    template = reader.encode("a").ids
    plain = reader.encode("a", add_special_tokens=False).ids
    place = template.index(plain[0])
    ids = [[*template[:place], token, *template[place + len(plain) :]] for token in range(size)]
    vectors = run_batches(network, original.dimension, BATCH, ids)
    vectors -= vectors.mean(axis=0)
    vectors *= np.log(1 + np.arange(size, dtype=np.float32))[:, None]
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    short: Vectors = np.ascontiguousarray(vectors @ directions[:, ::-1][:, :WORD_DIMENSIONS], np.float32)
    return short


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
