"""Faults: the whole of what tests/test_faults.py does in part.

    python tests/benchmarks/faults.py [--kills 100] [--server-kills 20] [--operations 10000] [--seed 1]

    random places   writers killed at random moments of indexing, adding, removing, tidying and rebuilding
    named places    writers killed at every place where something that lasts is about to be done, each time
    damage          each search file of an index cut, emptied, garbled and deleted
    servers         servers killed while they are asked and written to
    operations      anything in any order, beside a plain model

After each of them the index is asked questions whose answers are known, and verified. Ends with a traceback at the
first wrong answer, and prints how many there were of each otherwise.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import conftest
import test_faults

from searchsvc import models

RUNS, STEPS = 20, 50  # indexes at a time, and operations on each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--server-kills", type=int, default=20)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seed = options.seed
    words = conftest.BagOfWords()
    models.load_embedder = lambda *_, **__: words
    with test_faults.Writers() as writers:
        done = run("random places", lambda home: test_faults.kill_at_random(home, writers, options.kills, seed))
        print(f"  {done.total()} kills: {', '.join(f'{count} during {step}' for step, count in done.most_common())}")
        done = run("named places", lambda home: test_faults.kill_at_places(home, writers, every=True))
        print(f"  {done.total()} kills at {len(done)} places")
        done = run("damage", lambda home: test_faults.damage_each(base_in(home, writers), home, every=True))
        print(f"  {done.total()} harms to {len(done)} kinds of files")
        confirmed = run("servers", lambda home: test_faults.kill_servers(home, options.server_kills, seed))
        print(f"  {options.server_kills} kills, {confirmed:,} changes confirmed before them, none lost")
        total = run("operations", lambda _: operations(words, writers, options.operations, seed))
        print(f"  {total:,} operations")


def operations(words: conftest.BagOfWords, writers: test_faults.Writers, least: int, seed: int) -> int:
    total = 0
    while total < least:
        total += test_faults.do_anything(words, writers, RUNS, STEPS, seed + total)
    return total


def base_in(home: Path, writers: test_faults.Writers) -> test_faults.Desk:
    (home / "base").mkdir()
    return test_faults.begun(home / "base", writers)


def run(name: str, do: Callable[[Path], Any]) -> Any:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        done = do(Path(home))
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return done


if __name__ == "__main__":
    main()
