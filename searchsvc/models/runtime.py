"""The OpenVINO runtime: a model compiled for this machine's processor, and run without torch.

sentence-transformers loads a model once, in a process of its own (see `export`). What that process leaves in a folder
of the user's cache is all that is read ever after:

    model.xml, model.bin   the compiled model itself
    tokenizer.json         the model's own tokenizer
    facts.json             what it is, or why it cannot be compiled; written last: a folder with it is complete

A model that cannot be compiled, or has a GPU to run on, is run by sentence-transformers itself.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import ModelFailed
from searchsvc.models.memory import MEGABYTE, require_memory

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Model = TypeVar("Model")

MAX_STREAMS = 8
# Bytes of address space that OpenVINO takes to run a model beside four times the model itself, the first and any other
# one; and that torch takes to compile one, in a process of its own, with the memory for that (measured with the bundled
# model, of 90 MB, on two cores: 504 MB in all to run it; 2,045 MB, and 955 MB of memory, to compile it).
RUN, RUN_AGAIN, COMPILE = 150 * MEGABYTE, 60 * MEGABYTE, 1_500 * MEGABYTE
COMPILE_MEMORY = 500 * MEGABYTE
MULTIPLE = 8  # lengths are rounded up to this, so that few shapes are ever seen
# Held by the thread that infers first in this process. OpenVINO's Python side sets itself up at the first inference, in
# a way that hangs for ever where two threads come to it at once (2026.4.1: four times in ten with eight threads).
FIRST_INFERENCE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Kind(Generic[Model]):
    """A kind of model: how one is compiled, and how it is run.

    `form` changes whenever what is compiled of a model changes; `hint` says which models can be named. `compiled`
    (name, folder) opens a compiled model and raises ModelFailed where it is damaged; `original` (name, path or name on
    the hub, `cpu` or `cuda`) loads the model as it came.
    """

    name: str
    form: str
    hint: str
    compiled: Callable[[str, Path], Model]
    original: Callable[[str, Path | str, str], Model]


def locate(name: str) -> Path | str:
    """Return the folder of a model given by path, or else its name on the hub; raises ModelFailed for no folder."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelFailed(f"there is no folder {name}", "name the folder that holds the model's config.json")
    return name


def load(
    kind: Kind[Model], name: str, where: Path | str, *, device: str, cache: Path, announce: Callable[[str], None]
) -> Model:
    """Load the model at a path, or of a name on the hub, compiled if that can be.

    `device` is `auto`, `cpu` or `cuda`; `announce` is called before anything slow. Raises ModelFailed when there is no
    such model or it cannot be loaded.
    """
    if device == "cuda" and not _has_cuda():
        raise ModelFailed("there is no CUDA GPU that torch can use", "leave out --device cuda")
    if device == "cuda" or (device == "auto" and _has_cuda()):
        return kind.original(name, where, "cuda")
    folder = cache_folder(where, cache, kind.form)
    _require_memory(name, where, folder)
    if not _is_complete(folder):
        announce(f"Preparing the model {name} for this machine (once; about half a minute)…")
        _compile(kind, where, folder)
    if (reason := _refusal(folder)) is not None:
        announce(f"The model {name} cannot be compiled ({reason}); it runs through sentence-transformers.")
        return kind.original(name, where, "cpu")
    try:
        return kind.compiled(name, folder)
    except ModelFailed:
        announce(f"Preparing the model {name} again: its compiled form is damaged…")
        shutil.rmtree(folder, ignore_errors=True)
        _compile(kind, where, folder)
        return kind.compiled(name, folder)


def _require_memory(name: str, where: Path | str, folder: Path) -> None:
    """Raise TooLittleMemory where a model, compiled already or not, does not fit; the libraries would just exit."""
    if _is_complete(folder):
        size = _size_of(folder)
        space = RUN if "openvino" not in sys.modules else RUN_AGAIN
        require_memory(f"load the model {name}", space + 4 * size, 2 * size)
    else:
        size = _size_of(where) if isinstance(where, Path) else 0
        require_memory(f"prepare the model {name}", COMPILE + 6 * size, COMPILE_MEMORY + 5 * size, child=True)


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def cache_folder(where: Path | str, cache: Path, form: str) -> Path:
    """Return the folder of the compiled form of a model: another as soon as one of the model's files changes."""
    facts = [form, str(where)]
    if isinstance(where, Path):
        for file in sorted(where.rglob("*")):
            if file.is_file():
                stat = file.stat()
                facts.append(f"{file.relative_to(where)} {stat.st_size} {stat.st_mtime_ns}")
    digest = hashlib.blake2b("\n".join(facts).encode(), digest_size=8).hexdigest()
    return cache / "models" / f"{Path(where).name}-{digest}"


def _has_cuda() -> bool:
    """Say whether a CUDA GPU can be used, without importing torch where the driver alone says no."""
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return False
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return False
    try:
        import torch
    except ImportError as error:
        raise ModelFailed("torch is not installed", "install searchsvc with its dependencies") from error
    return bool(torch.cuda.is_available())


def _is_complete(folder: Path) -> bool:
    """Say whether a folder holds a compiled model, or the reason why the model cannot be compiled."""
    return (folder / "facts.json").is_file()


def _refusal(folder: Path) -> str | None:
    """Return the reason why the model could not be compiled, or None where it was."""
    reason = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["refusal"]
    return None if reason is None else str(reason)


def _compile(kind: Kind[Model], where: Path | str, folder: Path) -> None:
    """Compile a model into `folder`, in a process of its own; raises ModelFailed with the last line of its stderr."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if _is_complete(folder):
            return
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        if isinstance(where, Path):
            quiet["HF_HUB_OFFLINE"] = "1"
        # -P: what lies in the current folder is never imported.
        command = [sys.executable, "-P", "-m", "searchsvc.models.export", kind.name, str(where), str(part)]
        done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0 or not _is_complete(part):
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            reason = lines[-1].strip()[:300]
            message = reason.partition(f"{ModelFailed.__name__}: ")[2]
            raise ModelFailed(message or f"the model {where} cannot be loaded: {reason}", kind.hint)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)


@contextmanager
def reading(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the facts of a compiled model while its files are opened; raises ModelFailed where any is damaged."""
    try:
        yield json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelFailed(f"the compiled model in {folder} is damaged: {error}", f"delete {folder}") from error


def read_tokenizer(folder: Path) -> "Tokenizer":
    """Return a compiled model's tokenizer, without truncation and padding."""
    from tokenizers import Tokenizer

    return Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())


def open_model(folder: Path, *, streams: int, exact: bool = False) -> Any:
    """Open model.xml for this processor, in bfloat16 where the processor has it and `exact` is not set.

    The cores are shared out among the streams: one stream answers one query soonest, a stream a core gets most
    passages done (measured on two cores: 3.9 against 6.4 ms a query, 73 against 82 passages a second).
    """
    # OpenVINO's import sends telemetry unless this optional package is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    from openvino import properties

    core = openvino.Core()
    capabilities = core.get_property("CPU", properties.device.capabilities)
    return core.compile_model(
        core.read_model(folder / "model.xml"),
        "CPU",
        {
            properties.hint.inference_precision: "bf16" if "BF16" in capabilities and not exact else "f32",
            properties.num_streams: streams,
            properties.inference_num_threads: cores(),
        },
    )


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pad(ids: Sequence[Sequence[int]], *inputs: Sequence[Sequence[int]]) -> list[NDArray[np.int64]]:
    """Return token ids, attention mask and further inputs (a number for each token) of one batch, all (n, width)."""
    lengths = [len(sequence) for sequence in ids]
    width = -(-max(lengths) // MULTIPLE) * MULTIPLE
    arrays = [np.zeros((len(ids), width), np.int64) for _ in (ids, *inputs)]
    for array, sequences in zip(arrays, (ids, *inputs), strict=True):
        for row, sequence in enumerate(sequences):
            array[row, : len(sequence)] = sequence
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    return [arrays[0], mask, *arrays[1:]]


def infer_batches(
    model: Any, dimension: int, batch: int, ids: Sequence[Sequence[int]], *inputs: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """Return a model's output for token sequences, (n, dimension), on all cores; batches hold similar lengths.

    `inputs` are the model's inputs behind token ids and attention mask: a number for each token.
    """
    from openvino import properties

    outputs = np.empty((len(ids), dimension), np.float32)
    # Not OpenVINO's own queue: its callbacks hang for ever where the model is let go soon after (2026.4.1). One
    # request more than are run at once, so that none of the streams waits for its next batch to be made.
    count = model.get_property(properties.optimal_number_of_infer_requests) + 1
    free = [model.create_infer_request() for _ in range(count)]
    busy: deque[tuple[Any, NDArray[np.int64]]] = deque()

    def finish() -> None:
        request, rows = busy.popleft()
        request.wait()
        outputs[rows] = request.get_output_tensor(0).data
        free.append(request)

    # Longest first: the last batches are short, so that no core waits long for another at the end.
    order = np.argsort([-len(sequence) for sequence in ids], kind="stable")
    for start in range(0, len(order), batch):
        if not free:
            finish()
        rows = order[start : start + batch]
        request = free.pop()
        request.start_async(pad(*([sequences[row] for row in rows] for sequences in (ids, *inputs))))
        busy.append((request, rows))
    while busy:
        finish()
    return outputs
