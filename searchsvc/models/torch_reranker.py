"""A cross-encoder run by sentence-transformers itself: on a GPU, where it cannot be compiled, and while it is."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchsvc.errors import ModelFailed
from searchsvc.models.reranker import HINT, Scores, sigmoid
from searchsvc.models.runtime import fingerprint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST = 512  # for models that name no limit of their own
BATCH = {"cpu": 8, "cuda": 32}


class Transformer:
    """A Reranker that runs a model through sentence-transformers; one thread at a time."""

    def __init__(self, name: str, model: Any, device: str) -> None:
        self.name = name
        self.model = model
        self.longest: int = min(model.max_seq_length or LONGEST, 8192)
        model.max_seq_length = self.longest
        self._batch = BATCH[device]
        self._lock = threading.Lock()
        self.fingerprint = fingerprint(model, self.tokenizer.to_str(), self.longest)

    @classmethod
    def load(cls, name: str, where: Path | str, device: str) -> "Transformer":
        """Load a model from a folder or by its name on the hub; raises ModelFailed with the reason."""
        from sentence_transformers import CrossEncoder
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        try:
            model = CrossEncoder(str(where), device=device, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelFailed(f"the model {name} cannot be loaded: {str(error).splitlines()[0][:300]}", HINT) from error
        # To a model that only embeds, sentence-transformers adds a head made by chance.
        made = (model.config.architectures or [""])[0]
        if len(model) == 1 and not made.endswith("ForSequenceClassification"):
            raise ModelFailed(f"the model {name} is no cross-encoder, but a {made or 'model of no known kind'}", HINT)
        if model.num_labels != 1:
            raise ModelFailed(f"the model {name} gives {model.num_labels} scores for a pair, not one", HINT)
        model.eval()
        return cls(name, model.float() if device == "cpu" else model, device)

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, neither cutting nor padding."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.model.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return a score in [0, 1] for each text, (n,), higher is better."""
        with self._lock:
            outputs = self.model.predict(
                [(question, text) for text in texts],
                batch_size=self._batch,
                activation_fn=lambda output: output,
                show_progress_bar=False,
            )
        return sigmoid(np.asarray(outputs, np.float32))
