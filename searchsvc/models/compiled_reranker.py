"""A reranker compiled for this machine's processor: a network from the tokens of a pair to one number."""

import json
from collections.abc import Sequence
from pathlib import Path

from searchsvc.errors import ModelFailed
from searchsvc.models.reranker import Scores, sigmoid
from searchsvc.models.runtime import FIRST, STREAMS, cores, open_network, run_batches

FORM = "reranker 1"
BATCH = 4  # so that there is work for each core, and little padding (30 pairs on two cores: 0.4 s; 1.0 s in one batch)


class Compiled:
    """A Reranker that runs a compiled model; safe to use from many threads at once.

    `exact` keeps the processor from rounding to bfloat16 where it could, which costs more than twice the time.
    """

    def __init__(self, name: str, folder: Path, *, exact: bool = False) -> None:
        from tokenizers import Tokenizer

        self.name = name
        try:
            facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            self.fingerprint: str = facts["fingerprint"]
            longest: int = facts["longest"]
            self._network = open_network(folder / "model.xml", streams=min(cores(), STREAMS), exact=exact)
            self._reader = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFailed(f"the compiled model in {folder} is damaged: {error}", f"delete {folder}") from error
        self._reader.enable_truncation(longest)
        with FIRST:
            self.scores("", [""])

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return a score in [0, 1] for each text, (n,), higher is better."""
        pairs = self._reader.encode_batch_fast([(question, text) for text in texts])
        inputs = [[pair.ids for pair in pairs], [pair.type_ids for pair in pairs]]
        # One input is the attention mask; not every model has a third, which tells the question from the text.
        given = inputs[: len(self._network.inputs) - 1]
        return sigmoid(run_batches(self._network, 1, BATCH, *given)[:, 0])
