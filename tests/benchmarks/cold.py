"""Cold: how long a person waits for `searchsvc search` from the shell, with the index built and nothing in memory.

    python tests/benchmarks/cold.py --index DIR [--runs 7] [--question "…"] [--json]

The median of so many runs, each a process of its own; the first, which may still read files from the disk, is shown
apart. One more run, not timed, lists what was imported: torch and its companions must not be among it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HEAVY = ("torch", "transformers", "sentence_transformers", "scipy", "sklearn", "pandas", "dateparser", "fastapi", "mcp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, help="folder of an index that is built")
    parser.add_argument("--question", default="what does Russia want from North Korea")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    options = parser.parse_args()
    search = ["-m", "searchsvc", "search", options.question, "--index", str(options.index)]
    took = [run([sys.executable, *search]) for _ in range(options.runs + 1)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    bare = statistics.median(run([sys.executable, "-c", "pass"]) for _ in range(3))
    heavy = imported([sys.executable, "-X", "importtime", *search])
    row = {
        "first_s": round(took[0], 3),
        "median_s": round(statistics.median(took[1:]), 3),
        "slowest_s": round(max(took[1:]), 3),
        "python_alone_s": round(bare, 3),
        "peak_mb": peak,
        "torch_imported": "torch" in heavy,
        "heavy_imports": heavy,
    }
    if options.json:
        print(json.dumps(row))
        return
    for name, value in row.items():
        print(f"{name:16} {', '.join(value) or 'none' if isinstance(value, list) else value}")


def run(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"exit code {done.returncode}: {done.stderr.strip()[-1_000:]}")
    return seconds


def imported(command: list[str]) -> list[str]:
    """Return which of the heavy libraries Python says it imported."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    names = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    return [name for name in HEAVY if name in names]


if __name__ == "__main__":
    main()
