"""A network: a model compiled for this machine's processor and run by OpenVINO, without torch.

sentence-transformers loads a model once, in a process of its own so that torch's memory goes with it. What that process
leaves in a folder of the user's cache is all that is read ever after:

    model.xml, model.bin   the network itself
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import ModelFailed
from searchsvc.models.memory import MEGABYTE, must_have

Model = TypeVar("Model")

STREAMS = 8
# Bytes of address space that OpenVINO takes to run a model beside four times the model itself, the first and any other
# one; and that torch takes to compile one, in a process of its own, with the memory for that (measured with the bundled
# model, of 90 MB, on two cores: 504 MB in all to run it; 2,045 MB, and 955 MB of memory, to compile it).
RUN, RUN_AGAIN, COMPILE = 150 * MEGABYTE, 60 * MEGABYTE, 1_500 * MEGABYTE
COMPILE_MEMORY = 500 * MEGABYTE
MULTIPLE = 8  # lengths are rounded up to this, so that few shapes are ever seen
# Who infers first in this process holds this. OpenVINO's Python side sets itself up at the first inference, in a way
# that hangs for ever where two threads come to it at once (2026.4.1: four times in ten with eight threads).
FIRST = threading.Lock()


@dataclass(frozen=True, slots=True)
class Kind(Generic[Model]):
    """A kind of model: how one is compiled, and how it is run.

    `form` changes whenever what is compiled of a model changes; `program` is the module that compiles, run with the
    model and the folder to fill; `hint` says what can be named. `compiled` runs what lies in a folder and raises
    ModelFailed where that is damaged; `original` runs the model on `cpu` or `cuda` as it came.
    """

    form: str
    program: str
    hint: str
    compiled: Callable[[Path], Model]
    original: Callable[[str], Model]


def located(model: str) -> Path | str:
    """Return the folder of a model given by path, or else its name on the hub; raises ModelFailed for no folder."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or model.startswith(".") or model.count("/") > 1:
        raise ModelFailed(f"there is no folder {model}", "name the folder that holds the model's config.json")
    return model


def load(
    kind: Kind[Model], name: str, where: Path | str, *, device: str, cache: Path, announce: Callable[[str], None]
) -> Model:
    """Load the model at a path, or of a name on the hub, compiled if that can be.

    `device` is `auto`, `cpu` or `cuda`; `announce` hears of anything that takes long. Raises ModelFailed when there is
    no such model or it cannot be loaded.
    """
    if device == "cuda" and not _has_cuda():
        raise ModelFailed("there is no CUDA GPU that torch can use", "leave out --device cuda")
    if device == "cuda" or (device == "auto" and _has_cuda()):
        return kind.original("cuda")
    folder = folder_of(where, cache, kind.form)
    _must_fit(name, where, folder)
    if not _is_complete(folder):
        announce(f"Preparing the model {name} for this machine (once; about half a minute)…")
        _build(kind, where, folder)
    if (why := _refusal(folder)) is not None:
        announce(f"The model {name} cannot be compiled ({why}); it runs through sentence-transformers.")
        return kind.original("cpu")
    try:
        return kind.compiled(folder)
    except ModelFailed:
        announce(f"Preparing the model {name} again: its compiled form is damaged…")
        shutil.rmtree(folder, ignore_errors=True)
        _build(kind, where, folder)
        return kind.compiled(folder)


def _must_fit(name: str, where: Path | str, folder: Path) -> None:
    """Raise TooLittleMemory where a model, compiled already or not, does not fit: nothing else would hear of it."""
    if _is_complete(folder):
        size = _size_of(folder)
        space = RUN if "openvino" not in sys.modules else RUN_AGAIN
        must_have(f"load the model {name}", space + 4 * size, 2 * size)
    else:
        size = _size_of(where) if isinstance(where, Path) else 0
        must_have(f"prepare the model {name}", COMPILE + 6 * size, COMPILE_MEMORY + 5 * size, apart=True)


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def folder_of(where: Path | str, cache: Path, form: str) -> Path:
    """Return where the compiled form of a model lies: another folder as soon as one of its files changes."""
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
    """Say whether a folder holds a compiled model, or the finding that the model cannot be compiled."""
    return (folder / "facts.json").is_file()


def _refusal(folder: Path) -> str | None:
    """Return why the model could not be compiled, or None where it was."""
    why = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["refusal"]
    return None if why is None else str(why)


def _build(kind: Kind[Model], where: Path | str, folder: Path) -> None:
    """Compile a model into `folder`, in a process of its own; raises ModelFailed with what that process said."""
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
        command = [sys.executable, "-m", kind.program, str(where), str(part)]
        done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0 or not _is_complete(part):
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            reason = said[-1].strip()[:300]
            known = reason.partition(f"{ModelFailed.__name__}: ")[2]
            raise ModelFailed(known or f"the model {where} cannot be loaded: {reason}", kind.hint)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)


def open_network(path: Path, *, streams: int, exact: bool = False) -> Any:
    """Compile model.xml for this processor, in bfloat16 where the processor has it and `exact` is not set.

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
            properties.hint.inference_precision: "bf16" if "BF16" in capable and not exact else "f32",
            properties.num_streams: streams,
            properties.inference_num_threads: cores(),
        },
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def padded(ids: Sequence[Sequence[int]], *more: Sequence[Sequence[int]]) -> list[NDArray[np.int64]]:
    """Return token ids, attention mask, and whatever more there is of each token, all (n, width), of one batch."""
    lengths = [len(sequence) for sequence in ids]
    width = -(-max(lengths) // MULTIPLE) * MULTIPLE
    arrays = [np.zeros((len(ids), width), np.int64) for _ in (ids, *more)]
    for array, column in zip(arrays, (ids, *more), strict=True):
        for row, sequence in enumerate(column):
            array[row, : len(sequence)] = sequence
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    return [arrays[0], mask, *arrays[1:]]


def run_batches(
    network: Any, dimension: int, batch: int, ids: Sequence[Sequence[int]], *more: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """Return what a network makes of token sequences, (n, dimension), on all cores; batches hold similar lengths.

    `more` are its inputs behind token ids and attention mask: a number for each token.
    """
    from openvino import properties

    outputs = np.empty((len(ids), dimension), np.float32)
    # Not OpenVINO's own queue: its callbacks hang for ever where the network is let go soon after (2026.4.1). One
    # request more than are run at once, so that none of the streams waits for its next batch to be made.
    many = network.get_property(properties.optimal_number_of_infer_requests) + 1
    free = [network.create_infer_request() for _ in range(many)]
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
        request.start_async(padded(*([column[row] for row in rows] for column in (ids, *more))))
        busy.append((request, rows))
    while busy:
        finish()
    return outputs


def fingerprint(model: Any, *told: object) -> str:
    """Hash the weights of a torch module and whatever else makes it what it is: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().float().numpy().tobytes())
    for one in told:
        digest.update(str(one).encode())
    return digest.hexdigest()
