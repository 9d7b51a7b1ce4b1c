"""An embedder compiled for this machine's processor: no torch, ready in well under a second.

To the files of a network (see `networks`), which goes from token ids to unit vectors, pooling and normalising included,
comes words.npy: a short vector for each token of the vocabulary, for comparing sentences.
"""

import json
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
from searchsvc.models.embedder import Vectors
from searchsvc.models.runtime import FIRST, STREAMS, cores, open_network, padded, run_batches

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORM = "2"
BATCH = 32
SLICE = 4096  # texts tokenised and sorted by length at a time: bounds memory, wastes little padding
WORD = re.compile(r"\w+|[^\w\s]")
WORDS_KEPT = 200_000  # whose tokens are remembered: about 40 MB
LONGEST_WORD = 40
REQUESTS = 4  # questions prepared at once; the network itself takes one after the other


class Compiled:
    """An Embedder that runs a compiled model; safe to use from many threads at once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        try:
            facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            self.fingerprint: str = facts["fingerprint"]
            self.dimension: int = facts["dimension"]
            self.longest: int = facts["longest"]
            self._before_question: str = facts["before_question"]
            self._before_passage: str = facts["before_passage"]
            self._network = open_network(folder / "model.xml", streams=1)
            self._reader = self._read_tokenizer()
            self._words: Vectors = np.load(folder / "words.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFailed(f"the compiled model in {folder} is damaged: {error}", f"delete {folder}") from error
        self._reader.enable_truncation(self.longest)
        self._word_tokens: dict[str, list[int]] = {}
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(REQUESTS):
            self._requests.put(self._network.create_infer_request())
        with FIRST:
            self.question("")

    @cached_property
    def _throughput(self) -> Any:
        """The same network for many passages at a time; only who indexes pays for it."""
        return open_network(self._folder / "model.xml", streams=min(cores(), STREAMS))

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, neither cutting nor padding."""
        return self._read_tokenizer()

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (n, dimension), of texts to be found."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), SLICE):
            part = [self._before_passage + text for text in texts[start : start + SLICE]]
            ids = [encoding.ids for encoding in self._reader.encode_batch_fast(part)]
            vectors[start : start + SLICE] = run_batches(self._throughput, self.dimension, BATCH, ids)
        return vectors

    def question(self, text: str) -> Vectors:
        """Return the vector, (dimension,), of a text to find passages with."""
        ids = self._reader.encode(self._before_question + text).ids
        with self._request() as request:
            request.infer(padded([ids]))
            vector: Vectors = request.get_output_tensor(0).data[0].copy()
        return vector

    def sentences(self, texts: Sequence[str]) -> Vectors:
        """Return vectors, (n, 128), made of short vectors of the single tokens (see `compiling`).

        Measured on the news questions of the benchmarks they mark the answer as often as the model's own vector of
        each sentence, which would cost more than all the rest of a search.
        """
        tokens = [self._tokens_of(text) for text in texts]
        vectors = np.zeros((len(texts), self._words.shape[1]), np.float32)
        rows = [row for row, some in enumerate(tokens) if some]
        if rows:
            starts = np.cumsum([0, *(len(tokens[row]) for row in rows[:-1])])
            words = self._words[list(chain.from_iterable(tokens))]
            vectors[rows] = np.add.reduceat(words, starts, axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _tokens_of(self, text: str) -> list[int]:
        """Return the tokens of a text, taken word by word, since most words have been seen before."""
        known = self._word_tokens
        tokens: list[int] = []
        for word in WORD.findall(text):
            found = known.get(word)
            if found is None:
                found = self._reader.encode(word, add_special_tokens=False).ids
                if len(known) < WORDS_KEPT and len(word) <= LONGEST_WORD:
                    known[word] = found
            tokens += found
        return tokens

    def _read_tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self._folder / "tokenizer.json"))

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._requests.get()
        try:
            yield request
        finally:
            self._requests.put(request)
