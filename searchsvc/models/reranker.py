"""Reranking: a cross-encoder reads the question together with each of the best passages, and puts them in order.

    Reranker ──┬── compiled      the model run by OpenVINO; torch is never imported
               └── transformer   the model run by sentence-transformers, on a GPU or where it cannot be compiled

`load` chooses. It costs a model's run a passage at each question, a hundred times what an embedder costs, so that it is
only done where it is asked for.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from searchsvc.models import runtime as networks
from searchsvc.models.runtime import Kind, located

Scores = NDArray[np.float32]

HINT = "name a cross-encoder that gives one score: a folder, or a name on the hub where there is a network"


class Reranker(Protocol):
    """Says how well each of some texts answers a question."""

    @property
    def name(self) -> str:
        """What a person calls the model."""

    @property
    def fingerprint(self) -> str:
        """What the model is: two rerankers with one fingerprint give the same scores, up to rounding."""

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return a score in [0, 1] for each text, (n,), higher is better: the sigmoid of what the model gives.

        That is sentence-transformers' default for models of one score. Where a model's files name another activation
        (none at all: those trained on MS MARCO), its scores are other numbers, in the same order.
        """


def load(model: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Reranker:
    """Load a cross-encoder from a folder or by its name on the hub; `device` is `auto`, `cpu` or `cuda`.

    `announce` hears of anything that takes long. Raises ModelFailed when there is no such model, when it cannot be
    loaded, and when it is none that gives one score for a question and a text.
    """
    from searchsvc.models.compiled_reranker import FORM, Compiled
    from searchsvc.models.torch_reranker import Transformer

    where = located(model)
    kind: Kind[Reranker] = Kind(
        form=FORM,
        program="searchsvc.models.export_reranker",
        hint=HINT,
        compiled=lambda folder: Compiled(model, folder),
        original=lambda device: Transformer.load(model, where, device),
    )
    return networks.load(kind, model, where, device=device, cache=cache, announce=announce)


def sigmoid(outputs: NDArray[np.float32]) -> Scores:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(np.float32(0), -outputs))
