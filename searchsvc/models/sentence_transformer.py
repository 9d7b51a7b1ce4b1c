"""The original models, run by sentence-transformers: on a GPU, where they cannot be compiled, and while they are.

Each runs in one thread at a time.
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchsvc.errors import ModelFailed
from searchsvc.models import Scores, Vectors
from searchsvc.models.embedder import BUNDLED, EMBEDDER, check_bundled, locate
from searchsvc.models.reranker import RERANKER, sigmoid

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EMBEDDER_BATCH = {"cpu": 32, "cuda": 256}
RERANKER_BATCH = {"cpu": 8, "cuda": 32}
DEFAULT_LONGEST, MAX_LONGEST = 512, 8192  # tokens: for models that set no limit of their own; for all
PASSAGE_PROMPTS = ("document", "passage", "corpus")


class OriginalEmbedder:
    """An Embedder that runs a model through sentence-transformers."""

    def __init__(self, name: str, model: Any, device: str) -> None:
        self.name = name
        self.model = model
        self._batch = EMBEDDER_BATCH[device]
        self._lock = threading.Lock()
        self.longest = _longest(model)
        prompts: dict[str, str] = model.prompts or {}
        self.before_question = prompts.get("query", "")
        self.before_passage = next((prompts[kind] for kind in PASSAGE_PROMPTS if kind in prompts), "")
        self.dimension: int = self._encode([""]).shape[1]
        facts = (self.longest, self.before_question, self.before_passage)
        self.fingerprint = _fingerprint(model, self.tokenizer.to_str(), facts)

    @classmethod
    def load(cls, name: str, where: Path | str, device: str) -> "OriginalEmbedder":
        """Load a model from a folder or by its name on the hub; raises ModelFailed with the reason.

        The bundled model is compared with its recorded SHA-256 first.
        """
        from sentence_transformers import SentenceTransformer

        if isinstance(where, Path) and where == locate(BUNDLED):
            check_bundled(where)
        return cls(name, _load(SentenceTransformer, name, where, device, EMBEDDER.hint), device)

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, without truncation and padding."""
        return _tokenizer(self.model)

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


class OriginalReranker:
    """A Reranker that runs a cross-encoder through sentence-transformers."""

    def __init__(self, name: str, model: Any, device: str) -> None:
        self.name = name
        self.model = model
        self._batch = RERANKER_BATCH[device]
        self._lock = threading.Lock()
        self.longest = model.max_seq_length = _longest(model)
        self.fingerprint = _fingerprint(model, self.tokenizer.to_str(), self.longest)

    @classmethod
    def load(cls, name: str, where: Path | str, device: str) -> "OriginalReranker":
        """Load a model from a folder or by its name on the hub; raises ModelFailed with the reason."""
        from sentence_transformers import CrossEncoder

        model = _load(CrossEncoder, name, where, device, RERANKER.hint)
        # To a model that only embeds, sentence-transformers adds a head with random weights.
        architecture = (model.config.architectures or [""])[0]
        if len(model) == 1 and not architecture.endswith("ForSequenceClassification"):
            kind = architecture or "model of no known kind"
            raise ModelFailed(f"the model {name} is no cross-encoder, but a {kind}", RERANKER.hint)
        if model.num_labels != 1:
            raise ModelFailed(f"the model {name} gives {model.num_labels} scores for a pair, not one", RERANKER.hint)
        return cls(name, model.float() if device == "cpu" else model, device)

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, without truncation and padding."""
        return _tokenizer(self.model)

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


def _load(model_class: Any, name: str, where: Path | str, device: str, hint: str) -> Any:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model = model_class(str(where), device=device, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelFailed(f"the model {name} cannot be loaded: {str(error).splitlines()[0][:300]}", hint) from error
    return model.eval()


def _longest(model: Any) -> int:
    return min(model.max_seq_length or DEFAULT_LONGEST, MAX_LONGEST)


def _tokenizer(model: Any) -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _fingerprint(model: Any, *settings: object) -> str:
    """Hash the weights of a torch module, and what else its output depends on: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().float().numpy().tobytes())
    for setting in settings:
        digest.update(str(setting).encode())
    return digest.hexdigest()
