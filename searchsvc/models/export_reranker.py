"""Compiling a reranker: run once a model, as a process of its own (`python -m searchsvc.models.export_reranker`).

sentence-transformers loads the cross-encoder whole, OpenVINO traces it from the tokens of a pair to the model's one
number, and both are compared on pairs of several lengths. A model that cannot be traced, or that then disagrees, is
refused in facts.json and runs through sentence-transformers instead.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from searchsvc.errors import ModelFailed
from searchsvc.models.compiled_reranker import Compiled
from searchsvc.models.torch_reranker import Transformer

AGREEMENT, ROUNDED = 1e-3, 0.05  # most that a score may differ: in float32, and as this processor will run it
QUESTIONS = ("what does Russia want from North Korea", "what " * 600)
TEXTS = (
    "",
    "Russia is likely seeking ammunition, construction workers, even volunteers to go to the front line.",
    "Nuevas medidas\nEl presidente anunció ayer nuevas medidas económicas.",
    "The committee met on Tuesday. " * 200,
)


def main(model: str, folder: Path) -> None:
    """Compile the model at a path, or of a name, into a folder."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    source = Path(model)
    original = Transformer.load(model, source if source.is_dir() else model, "cpu")
    folder.mkdir(parents=True)
    original.tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"fingerprint": original.fingerprint, "longest": original.longest, "refusal": _trace(original, folder)}
    _write(facts, folder)
    if facts["refusal"] is None:
        _write(facts | {"refusal": _difference(original, folder)}, folder)


def _trace(original: Transformer, folder: Path) -> str | None:
    """Write model.xml and model.bin; return why not, where the model does not lend itself to it."""
    import openvino
    import torch

    class FromTokens(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = original.model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            if token_type_ids is not None:
                features["token_type_ids"] = token_type_ids
            return self.model(features)["scores"].reshape(-1, 1)

    accepted = original.model.tokenizer.model_input_names
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]
    example = torch.ones((2, 16), dtype=torch.long)
    try:
        with torch.no_grad():
            traced = openvino.convert_model(FromTokens(), example_input=dict.fromkeys(names, example))
        openvino.save_model(traced, folder / "model.xml", compress_to_fp16=False)
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        return f"OpenVINO cannot trace it: {str(error).splitlines()[0][:200]}"
    return None


def _difference(original: Transformer, folder: Path) -> str | None:
    """Return how the compiled model's scores differ from the original's, or None where they do not."""
    expected = [original.scores(question, TEXTS) for question in QUESTIONS]
    for exact, most in ((True, AGREEMENT), (False, ROUNDED)):
        try:
            compiled = Compiled(original.name, folder, exact=exact)
            scores = [compiled.scores(question, TEXTS) for question in QUESTIONS]
        except (ModelFailed, RuntimeError, ValueError) as error:
            return f"compiled, it does not run: {str(error).strip().splitlines()[-1][:200]}"
        difference = np.abs(np.subtract(scores, expected)).max()
        if not difference <= most:
            return f"compiled, its scores differ by {difference:.4f}"
    return None


def _write(facts: dict[str, Any], folder: Path) -> None:
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
