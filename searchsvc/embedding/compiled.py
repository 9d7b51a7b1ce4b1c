"""A model compiled for this machine's processor and run by OpenVINO: no torch, ready in well under a second.

A folder in the user's cache holds one compiled model:

    model.xml, model.bin   the network, from token ids to unit vectors (pooling and normalising included)
    tokenizer.json         the model's own tokenizer
    words.npy              a short vector for each token of its vocabulary, for comparing sentences
    facts.json             what it is; written last, so that a folder with it is complete
"""

import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from searchsvc.embedding import Vectors
from searchsvc.errors import ModelFailed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 2
BATCH = 32
SLICE = 4096  # texts tokenised and sorted by length at a time: bounds memory, wastes little padding
STREAMS = 8
WORD = re.compile(r"\w+|[^\w\s]")
WORDS_KEPT = 200_000  # whose tokens are remembered: about 40 MB
LONGEST_WORD = 40
REQUESTS = 4  # questions prepared at once; the network itself takes one after the other
MULTIPLE = 8  # lengths are rounded up to this, so that few shapes are ever seen
FIRST = threading.Lock()  # of who infers first in this process


def folder_of(where: Path | str, cache: Path) -> Path:
    """Return where the compiled form of a model lies: another folder as soon as one of its files changes."""
    facts = [str(FORMAT), str(where)]
    if isinstance(where, Path):
        for file in sorted(where.rglob("*")):
            if file.is_file():
                stat = file.stat()
                facts.append(f"{file.relative_to(where)} {stat.st_size} {stat.st_mtime_ns}")
    digest = hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest()
    return cache / "models" / f"{Path(where).name}-{digest}"


def is_complete(folder: Path) -> bool:
    """Say whether a folder holds a compiled model, or the finding that the model cannot be compiled."""
    return (folder / "facts.json").is_file()


def discard(folder: Path) -> None:
    """Remove a compiled model, so that it will be compiled again."""
    shutil.rmtree(folder, ignore_errors=True)


def refusal(folder: Path) -> str | None:
    """Return why the model could not be compiled, or None where it was."""
    why = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["refusal"]
    return None if why is None else str(why)


def build(where: Path | str, folder: Path) -> None:
    """Compile a model into `folder`, in a process of its own; raises ModelFailed with what that process said."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if is_complete(folder):
            return
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        if isinstance(where, Path):
            quiet["HF_HUB_OFFLINE"] = "1"
        command = [sys.executable, "-m", "searchsvc.embedding.compiling", str(where), str(part)]
        done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0 or not is_complete(part):
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            raise ModelFailed(
                f"the model {where} cannot be loaded: {said[-1].strip()[:300]}",
                "name a sentence-transformers model: a folder, a name on the hub, or the bundled all-MiniLM-L6-v2",
            )
        discard(folder)
        part.replace(folder)


def open_network(path: Path, *, streams: int) -> Any:
    """Compile model.xml for this processor, in bfloat16 where the processor has it.

    The cores are shared out among the streams: one stream answers one question soonest, a stream a core gets most
    passages done (measured on two cores: 3.9 against 6.4 ms a question, 73 against 82 passages a second).
    """
    # OpenVINO's import reports itself to its maker unless this optional package is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    from openvino import properties

    core = openvino.Core()
    capable = core.get_property("CPU", properties.device.capabilities)
    return core.compile_model(
        core.read_model(path),
        "CPU",
        {
            properties.hint.inference_precision: "bf16" if "BF16" in capable else "f32",
            properties.num_streams: streams,
            properties.inference_num_threads: cores(),
        },
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def padded(ids: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token ids and attention mask, both (n, width), of one batch."""
    width = -(-max(map(len, ids)) // MULTIPLE) * MULTIPLE
    tokens = np.zeros((len(ids), width), np.int64)
    mask = np.zeros((len(ids), width), np.int64)
    for row, sequence in enumerate(ids):
        tokens[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return tokens, mask


def run_batches(network: Any, ids: Sequence[Sequence[int]], dimension: int) -> Vectors:
    """Return the vectors, (n, dimension), of token sequences, on all cores; batches hold similar lengths."""
    import openvino

    vectors = np.empty((len(ids), dimension), np.float32)

    def keep(request: Any, rows: NDArray[np.int64]) -> None:
        vectors[rows] = request.get_output_tensor(0).data

    jobs = openvino.AsyncInferQueue(network)
    jobs.set_callback(keep)
    # Longest first: the last batches are short, so that no core waits long for another at the end.
    order = np.argsort([-len(sequence) for sequence in ids], kind="stable")
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        jobs.start_async(padded([ids[row] for row in rows]), rows)
    jobs.wait_all()
    return vectors


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
        # OpenVINO's Python side sets itself up at the first inference, in a way that hangs for ever where two threads
        # come to it at once (2026.4.1: four times in ten with eight threads): here, there is but one, also
        # where several load the model.
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
            vectors[start : start + SLICE] = run_batches(self._throughput, ids, self.dimension)
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
