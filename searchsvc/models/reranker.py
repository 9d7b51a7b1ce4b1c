"""The reranker: the compiled cross-encoder from the tokens of a pair to one score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchsvc.models import Reranker, Scores, runtime
from searchsvc.models.runtime import FIRST_INFERENCE, MAX_STREAMS, Kind, cores, infer_batches, open_model

BATCH = 4  # so that there is work for each core, and little padding (30 pairs on two cores: 0.4 s; 1.0 s in one batch)


class CompiledReranker:
    """A Reranker that runs a compiled model; safe to use from many threads at once.

    `exact` keeps the processor from rounding to bfloat16 where it could, which costs more than twice the time.
    """

    def __init__(self, name: str, folder: Path, *, exact: bool = False) -> None:
        self.name = name
        with runtime.reading(folder) as facts:
            self.fingerprint: str = facts["fingerprint"]
            longest: int = facts["longest"]
            self._model = open_model(folder, streams=min(cores(), MAX_STREAMS), exact=exact)
            self._tokenizer = runtime.read_tokenizer(folder)
        self._tokenizer.enable_truncation(longest)
        with FIRST_INFERENCE:
            self.scores("", [""])

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return a score in [0, 1] for each text, (n,), higher is better."""
        pairs = self._tokenizer.encode_batch_fast([(question, text) for text in texts])
        inputs = [[pair.ids for pair in pairs], [pair.type_ids for pair in pairs]]
        # One input is the attention mask; not every model has a third, which tells the query from the text.
        inputs = inputs[: len(self._model.inputs) - 1]
        return sigmoid(infer_batches(self._model, 1, BATCH, *inputs)[:, 0])


def sigmoid(outputs: NDArray[np.float32]) -> Scores:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(np.float32(0), -outputs))


def _original(name: str, where: Path | str, device: str) -> Reranker:
    from searchsvc.models.sentence_transformer import OriginalReranker

    return OriginalReranker.load(name, where, device)


RERANKER: Kind[Reranker] = Kind(
    name="reranker",
    form="reranker 1",
    hint="name a cross-encoder that gives one score: a folder, or a name on the hub where there is a network",
    compiled=CompiledReranker,
    original=_original,
)
