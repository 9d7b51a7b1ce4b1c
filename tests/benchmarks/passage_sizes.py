"""Passage sizes: what the length of passages does to the ranking, side by side.

    python tests/benchmarks/passage_sizes.py FOLDER 120 160 200 [--keep DIR] [--json]

Judges FOLDER (as `searchsvc eval` does) once for each length, in tokens. Every length has an index of its own under
DIR/eval, which is kept, so that only the first run takes long; DIR also gets its own copy of the compiled model, and
is the usual cache folder where it is not named. The last column compares nDCG@10 with the first length, question by
question, with its 95 % interval.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from searchsvc import SearchsvcError, Settings
from searchsvc.evaluation import Evaluation, as_record, evaluate
from searchsvc.evaluation.comparison import compare
from searchsvc.ingest.report import Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="corpus, questions and judgements, as for searchsvc eval")
    parser.add_argument("sizes", type=int, nargs="+", help="most tokens of a passage")
    parser.add_argument("--keep", type=Path, default=Path(), help="where the indexes are kept")
    parser.add_argument("--json", action="store_true", help="print JSON lines and no table")
    options = parser.parse_args()
    try:
        found = {size: judge(options.folder, size, options.keep) for size in dict.fromkeys(options.sizes)}
    except SearchsvcError as fault:
        sys.exit(f"{fault.message} ({fault.hint})" if fault.hint else fault.message)
    first = next(iter(found.values()))
    if options.json:
        for size, one in found.items():
            record = as_record(one)
            del record["outcomes"], record["against"]
            differences = [asdict(difference) for difference in compare(first.run, one.run).differences]
            print(json.dumps({"passage_tokens": size} | record | {"since_first": differences}))
        return
    names = [measure.name for measure in first.measures]
    print(f"{'tokens':>6}{'passages':>10}{'p50 ms':>8}" + "".join(f"{name:>22}" for name in names) + "  nDCG@10 moved")
    for size, one in found.items():
        measures = "".join(f"{f'{m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]':>22}" for m in one.measures)
        moved = compare(first.run, one.run).differences[0]
        print(
            f"{size:>6}{one.passages:>10}{one.took_ms_p50:>8.1f}{measures}  {moved.mean:+.3f} "
            f"[{moved.low:+.3f}, {moved.high:+.3f}], {moved.better} better, {moved.worse} worse"
        )


def judge(folder: Path, size: int, keep: Path) -> Evaluation:
    def progress(report: Report, _done: int, _all: int) -> None:
        print(f"\r{size} tokens: {report.passages:,} passages", end="", file=sys.stderr, flush=True)

    found = evaluate(
        folder,
        Settings(passage_tokens=size, cache=keep),
        announce=lambda sentence: print(f"\n{sentence}", file=sys.stderr),
        progress=progress,
    )
    print(file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
