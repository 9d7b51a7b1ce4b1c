"""Quotes: sentences of real articles, altered in known ways, looked for in their own article, in another, and in all.

    python tests/benchmarks/quotes.py INDEX [--sentences 150] [--seed 5]

INDEX is the folder of an index, as `searchsvc index` makes it; `searchsvc eval --json` says where it keeps its own. For
each way, prints how many were exact, near and not found, how many of those found stand where the sentence does, the
least and the middle likeness, and the time in the middle.
"""

import argparse
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from searchsvc import Library, Settings
from searchsvc.text.article import Article

Sentence = tuple[Article, int, int]
VERB = re.compile(r"\b(?:is|was|are|were|will|has|have|had|can|could|would|did|does)\b(?! not)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--sentences", type=int, default=150)
    parser.add_argument("--seed", type=int, default=5, help="chooses the sentences, and what is altered in them")
    given = parser.parse_args()
    library, chance = Library(Settings(index=given.index)), random.Random(given.seed)
    sentences = chosen(library, given.sentences, chance)
    words = [word for entry, _, _ in sentences for word in entry.text.split() if word.isalpha()]
    for name, alter in ways(words, chance).items():
        asked = [(one, altered) for one in sentences if (altered := alter(one[0].text[one[1] : one[2]]))]
        show(f"{name}, its article", library, [(one, text, one[0].id) for one, text in asked])
        show(f"{name}, anywhere", library, [(one, text, None) for one, text in asked])
    others = zip(sentences, sentences[7:] + sentences[:7], strict=True)
    show("another article", library, [(one, one[0].text[one[1] : one[2]], other[0].id) for one, other in others])


def chosen(library: Library, number: int, chance: random.Random) -> list[Sentence]:
    """Return sentences of 40 to 400 characters, each of another article."""
    catalogue, space = library.catalogue, library.catalogue.spaces.get().row
    rows, _ = catalogue.changes.between(0, catalogue.changes.last())
    found: list[Sentence] = []
    for entry in catalogue.articles.by_row(chance.sample(rows, min(len(rows), 3 * number))).values():
        passages = (one.passage for one in catalogue.passages.of_article(entry.row, space))
        spans = [span for one in passages for span in one.sentences if 40 <= span[1] - span[0] <= 400]
        if spans:
            found.append((entry, *chance.choice(spans)))
    return found[:number]


def ways(words: list[str], chance: random.Random) -> dict[str, Callable[[str], str | None]]:
    """Return how a sentence is altered, by name; None where it cannot be."""

    def number(text: str) -> str | None:
        found = list(re.finditer(r"\d{1,9}", text))
        if not found:
            return None
        one = chance.choice(found)
        return f"{text[: one.start()]}{int(one[0]) + chance.choice((1, 2, 10, 100))}{text[one.end() :]}"

    def negated(text: str) -> str | None:
        found = VERB.search(text)
        return f"{text[: found.end()]} not{text[found.end() :]}" if found else None

    def affirmed(text: str) -> str | None:
        changed = re.sub(r"\bnot |n[’']t\b", "", text, count=1)
        return changed if changed != text else None

    def typeset(text: str) -> str:
        return f"« {text.upper().translate(str.maketrans({'-': '—', chr(39): '’', ' ': '  '}))} »"

    def dropped(text: str, share: float) -> str:
        kept = text.split()
        for place in sorted(chance.sample(range(len(kept)), max(1, int(len(kept) * share))), reverse=True):
            del kept[place]
        return " ".join(kept)

    def swapped(text: str, share: float) -> str:
        kept = text.split()
        for place in chance.sample(range(len(kept)), max(1, int(len(kept) * share))):
            kept[place] = chance.choice(words)
        return " ".join(kept)

    return {
        "as it is": lambda text: text,
        "typeset": typeset,
        "another number": number,
        "a not more": negated,
        "a not less": affirmed,
        "a fifth dropped": lambda text: dropped(text, 0.2),
        "two fifths dropped": lambda text: dropped(text, 0.4),
        "a seventh swapped": lambda text: swapped(text, 0.15),
        "a third swapped": lambda text: swapped(text, 0.3),
        "half swapped": lambda text: swapped(text, 0.5),
    }


def show(name: str, library: Library, asked: list[tuple[Sentence, str, str | None]]) -> None:
    """Print what was found of sentences."""
    verdicts: Counter[str] = Counter()
    there, likeness, seconds = 0, [], []
    for (entry, start, end), text, ident in asked:
        began = time.perf_counter()
        found = library.verify_quote(text, ident)
        seconds.append(time.perf_counter() - began)
        verdicts[found.verdict] += 1
        likeness += [found.similarity] if found.article else []
        both = min(end, found.end) - max(start, found.start)
        there += found.article == entry and both > 0.5 * (end - start)
    said = ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in ("exact", "near", "not_found"))
    least = f"{min(likeness):.0f} to {statistics.median(likeness):.0f}" if likeness else "-"
    print(f"{name:32} {said}; there {there}; likeness {least}; {statistics.median(seconds) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
