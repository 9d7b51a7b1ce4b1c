"""A model run by sentence-transformers itself: on a GPU, where it cannot be compiled, and while it is compiled."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchsvc.errors import ModelFailed
from searchsvc.models.embedder import BUNDLED, Vectors, check_bundled, locate
from searchsvc.models.runtime import fingerprint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH = {"cpu": 32, "cuda": 256}
LONGEST = 512  # for models that name no limit of their own


class Transformer:
    """An Embedder that runs a model through sentence-transformers; one thread at a time."""

    def __init__(self, name: str, model: Any, device: str) -> None:
        self.name = name
        self.model = model
        self._batch = BATCH[device]
        self._lock = threading.Lock()
        self.longest: int = min(model.max_seq_length or LONGEST, 8192)
        prompts: dict[str, str] = model.prompts or {}
        self.before_question = prompts.get("query", "")
        found = (prompts[kind] for kind in ("document", "passage", "corpus") if kind in prompts)
        self.before_passage = next(found, "")
        self.dimension: int = self._encode([""]).shape[1]
        facts = (self.longest, self.before_question, self.before_passage)
        self.fingerprint = fingerprint(model, self.tokenizer.to_str(), facts)

    @classmethod
    def load(cls, name: str, where: Path | str, device: str) -> "Transformer":
        """Load a model from a folder or by its name on the hub; raises ModelFailed with the reason.

        The bundled model is compared with its recorded SHA-256 first.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if isinstance(where, Path) and where == locate(BUNDLED):
            check_bundled(where)
        try:
            model = SentenceTransformer(str(where), device=device, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelFailed(f"the model {name} cannot be loaded: {str(error).splitlines()[0][:300]}") from error
        model.eval()
        return cls(name, model, device)

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, neither cutting nor padding."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.model.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (n, dimension), of texts to be found."""
        return self._encode([self.before_passage + text for text in texts])

    def question(self, text: str) -> Vectors:
        """Return the vector, (dimension,), of a text to find passages with."""
        vector: Vectors = self._encode([self.before_question + text])[0]
        return vector

    def sentences(self, texts: Sequence[str]) -> Vectors:
        """Return vectors, (n, dimension): the model's own of each sentence."""
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._lock:
            vectors = self.model.encode(
                list(texts), batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False, prompt=""
            )
        return np.asarray(vectors, np.float32)
