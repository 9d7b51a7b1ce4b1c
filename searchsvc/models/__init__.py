"""Models turn text into numbers: an Embedder makes vectors, a Reranker scores passages against a query.

    load_embedder, load_reranker ──┬── embedder, reranker      the compiled model, run by OpenVINO (see `runtime`)
                                   └── sentence_transformer    the original, on a GPU or where it cannot be compiled

The first use of a model compiles it into the user's cache folder (see `export`), in a process of its own so that
torch's memory goes with it; every later start takes under a second. Importing this package imports no library, numpy
included.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

Vectors: TypeAlias = "NDArray[np.float32]"  # of length one: the inner product of two is their cosine
Scores: TypeAlias = "NDArray[np.float32]"


class Embedder(Protocol):
    """Turns texts into float32 vectors of length one, near to each other where the texts mean alike."""

    @property
    def name(self) -> str:
        """The name or path by which the model was loaded."""

    @property
    def fingerprint(self) -> str:
        """A hash of the model: two embedders with the same give the same vectors, up to rounding."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def longest(self) -> int:
        """The number of tokens that the model reads of a text, special tokens included; the rest is cut off."""

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, without truncation and padding."""

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (n, dimension), of texts to be found."""

    def question(self, text: str) -> Vectors:
        """Return the vector, (dimension,), of a text to find passages with."""

    def sentences(self, texts: Sequence[str]) -> Vectors:
        """Return vectors, (n, any width), good enough to compare the sentences of a passage with a query.

        They form a space of their own: compare them with one another, never with the vectors of passages. The vector
        of a text without a word is zero.
        """


class Reranker(Protocol):
    """Scores how well texts answer a query: a cross-encoder reads the two together.

    It costs a run of the model for each passage of each query, a hundred times what an embedder costs.
    """

    @property
    def name(self) -> str:
        """The name or path by which the model was loaded."""

    @property
    def fingerprint(self) -> str:
        """A hash of the model: two rerankers with the same give the same scores, up to rounding."""

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return a score in [0, 1] for each text, (n,), higher is better: the sigmoid of the model's output.

        That is sentence-transformers' default for models with one output. Where a model's files name another activation
        (none at all for those trained on MS MARCO), its scores are other numbers, in the same order.
        """


def load_embedder(name: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Embedder:
    """Load an embedder: a folder, a name on the hub, or the bundled model's name.

    `device` is `auto`, `cpu` or `cuda`; `announce` is called with a sentence before anything slow. Raises ModelFailed
    when the model does not exist or cannot be loaded, TooLittleMemory when it does not fit.
    """
    from searchsvc.models.embedder import EMBEDDER, locate
    from searchsvc.models.runtime import load

    return load(EMBEDDER, name, locate(name), device=device, cache=cache, announce=announce)


def load_reranker(name: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Reranker:
    """Load a cross-encoder: a folder or a name on the hub.

    Takes and raises what `load_embedder` does; ModelFailed also for a model that does not give one score for a pair.
    """
    from searchsvc.models.reranker import RERANKER
    from searchsvc.models.runtime import load, locate

    return load(RERANKER, name, locate(name), device=device, cache=cache, announce=announce)
