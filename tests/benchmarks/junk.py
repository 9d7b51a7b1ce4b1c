"""Junk: what recurs in an index, what of it is left out of passages and what is not, and what counting costs.

    python tests/benchmarks/junk.py INDEX [--shown 10] [--least 6] [--seed 1] [--json]

INDEX is the folder of an index, as `searchsvc index` makes it; `searchsvc eval --json` says where it keeps its own.
Shows so many blocks of those left out, by chance, and the most frequent of those that are not, with how many articles
hold each, of those that at least so many hold; counting is timed on 500 articles.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from searchsvc import SearchsvcError
from searchsvc.catalogue import Catalogue, RecurringBlock
from searchsvc.text.boilerplate import LEAST_ARTICLES, blocks_in, number_of

TIMED = 500  # articles


@dataclass(frozen=True, slots=True)
class Shown:
    """A block, in how many articles of which source it stands."""

    articles: int
    source: str | None
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--shown", type=int, default=10, help="blocks shown of either kind")
    parser.add_argument("--least", type=int, default=LEAST_ARTICLES, help="articles that hold a block, to be shown")
    parser.add_argument("--seed", type=int, default=1, help="chooses those that are shown of what was left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no table")
    options = parser.parse_args()
    try:
        catalogue = Catalogue(options.index / "catalogue.sqlite3")
    except SearchsvcError as fault:
        sys.exit(f"{fault.message} ({fault.hint})" if fault.hint else fault.message)
    recurring = catalogue.boilerplate.recurring(options.least)
    out = [one for one in recurring if one.is_boilerplate]
    kept = [one for one in recurring if not one.is_boilerplate]
    some = random.Random(options.seed).sample(out, min(options.shown, len(out)))
    record = {
        "articles": catalogue.counts().articles,
        "left_out": len(out),
        "times_left_out": sum(one.articles for one in out),
        "kept": len(kept),
        "times_kept": sum(one.articles for one in kept),
        "outdated": len(catalogue.boilerplate.to_resplit(1_000_000)),
        "ms_an_article": counting_ms(catalogue),
    }
    examples = {"left_out": [*texts(catalogue, some)], "kept": [*texts(catalogue, kept[: options.shown])]}
    if options.json:
        shown = {name: [asdict(one) for one in found] for name, found in examples.items()}
        print(json.dumps(record | {"examples": shown}, ensure_ascii=False))
        return
    print("\n".join(f"{name:>16}  {value}" for name, value in record.items()))
    for name, found in examples.items():
        print(f"\n{name}")
        for one in found:
            print(f"{one.articles:>6}  {one.source or '':20.20}  {' '.join(one.text.split()):.160}")


def texts(catalogue: Catalogue, blocks: Iterable[RecurringBlock]) -> Iterable[Shown]:
    for one in blocks:
        entry = catalogue.articles.by_row([one.article])[one.article]
        found = (text for text in entry.text.split("\n\n") if number_of(entry.source, text, entry.origin) == one.number)
        yield Shown(one.articles, entry.source, next(found))


def counting_ms(catalogue: Catalogue) -> float:
    added, _ = catalogue.changes.between(0, catalogue.changes.last())
    entries = catalogue.articles.by_row(added[-TIMED:]).values()
    began = time.process_time()
    for entry in entries:
        blocks_in(entry.source, entry.title, entry.text, entry.origin)
    return round((time.process_time() - began) * 1_000 / max(1, len(entries)), 3)


if __name__ == "__main__":
    main()
