"""Ingest: how many passages a second come from a file to where they can be found, against the peers in the same run.

    python tests/benchmarks/ingest.py [--folder FOLDER] [--passages 1500] [--peers PATH/TO/peers.sh] [--json]

Takes whole articles of FOLDER/corpus.jsonl[.gz|.zst] (default: ../shared/eval/news) until they make so many passages.
Ours runs in a process of its own: the clock starts before the file is read and the model and the libraries behind it
are loaded, and stops when the first search has answered. The peers are then given exactly the passages that we
indexed, ready cut, and their clock starts only after their imports and their model are loaded. Our model is compiled
beforehand, once for a machine. Nothing else should run on the machine at the time.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from searchsvc import Library, Settings
from searchsvc.evaluation.judged_set import read
from searchsvc.library import PASSAGE_TOKENS
from searchsvc.models import load_embedder
from searchsvc.models.embedder import BUNDLED
from searchsvc.readers import from_record
from searchsvc.readers.records import text_lines
from searchsvc.text.article import RawArticle, article_id
from searchsvc.text.cleaning import clean, clean_title
from searchsvc.text.language import language_of
from searchsvc.text.passages import Splitter

NEWS = Path(__file__).parents[3] / "shared" / "eval" / "news"
MOST_QUESTIONS = 200  # as many as the peers ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=NEWS, help="corpus and questions, as for searchsvc eval")
    parser.add_argument("--passages", type=int, default=1_500, help="index at least so many")
    parser.add_argument("--peers", type=Path, help="peers.sh; without it only ours is measured")
    parser.add_argument("--json", action="store_true", help="print JSON lines and no table")
    parser.add_argument(
        "--measure", nargs=3, type=Path, metavar=("ARTICLES", "QUESTIONS", "INDEX"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(ours(*options.measure)))
        return
    judged = read(options.folder)
    with tempfile.TemporaryDirectory(prefix="searchsvc-ingest-") as name:
        place = Path(name)
        articles, questions, index = place / "articles.jsonl", place / "questions.jsonl", place / "index"
        keys = sample(judged.corpus, articles, options.passages)
        questions.write_text(
            "".join(json.dumps({"_id": one.id, "text": one.text}) + "\n" for one in judged.questions[:MOST_QUESTIONS])
        )
        command = [sys.executable, __file__, "--measure", str(articles), str(questions), str(index)]
        rows = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)]
        if options.peers:
            cut = place / "passages.jsonl"
            write_passages(Library(Settings(index=index)), keys, cut)
            done = subprocess.run([options.peers, cut, questions], check=True, stdout=subprocess.PIPE, text=True)
            rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    show(rows, as_json=options.json)


def sample(corpus: Path, to: Path, passages: int) -> list[str]:
    """Write the first articles that make so many passages; return their keys."""
    settings = Settings()
    embedder = load_embedder(
        settings.model or BUNDLED,
        device=settings.device,
        cache=settings.cache_folder,
        announce=lambda sentence: print(sentence, file=sys.stderr),
    )
    splitter = Splitter(embedder.tokenizer, budget=settings.passage_tokens or PASSAGE_TOKENS, longest=embedder.longest)
    keys: list[str] = []
    count = 0
    with to.open("w", encoding="utf-8") as out:
        for line, article in records(corpus):
            title = clean_title(article.title)
            cleaned = clean(title, article.text)
            language = article.language or language_of(cleaned.text)
            count += len(splitter.split(splitter.heading(title), cleaned, language))
            keys.append(article.key)
            out.write(line + "\n")
            if count >= passages:
                return keys
    print(f"{corpus} makes only {count} passages", file=sys.stderr)
    return keys


def records(corpus: Path) -> Iterator[tuple[str, RawArticle]]:
    for line in text_lines(corpus, 10_000_000):
        if isinstance(line, str) and line.strip():
            found = from_record(json.loads(line), where="", fallback_key="")
            yield from ((line, one) for one in found if isinstance(one, RawArticle))


def ours(articles: Path, questions: Path, index: Path) -> dict[str, object]:
    """Index and ask, in this process."""
    asked = [json.loads(line)["text"] for line in questions.read_text().splitlines()]
    starting = time.perf_counter()
    library = Library(Settings(index=index))
    library.index([])  # makes the index and loads the model, which the peers' clocks leave out as well
    library.embedder.passages(["warm"])
    began = time.perf_counter()
    report = library.index([articles])
    library.search(asked[0])
    ended = time.perf_counter()
    seconds, loaded = ended - began, ended - starting
    took = []
    for question in asked:
        began = time.perf_counter()
        library.search(question)
        took.append((time.perf_counter() - began) * 1_000)
    return {
        "peer": "searchsvc",
        "passages": report.passages,
        "embedded": report.embedded,
        "reading_to_searchable_s": round(seconds, 2),
        "with_loading_s": round(loaded, 2),
        "passages_per_s": round(report.passages / seconds, 1),
        "question_p50_ms": round(float(np.percentile(took, 50)), 2),
        "question_p95_ms": round(float(np.percentile(took, 95)), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def write_passages(library: Library, keys: list[str], to: Path) -> None:
    """Write what was embedded, title and text, a line each."""
    with to.open("w", encoding="utf-8") as out:
        for key in keys:
            entry = library.catalogue.articles.get(article_id(key))
            if entry is None:
                continue  # nothing in it could be searched
            for found in library.catalogue.passages.of_article(entry.row):
                text = entry.text[found.passage.start : found.passage.end]
                out.write(json.dumps({"_id": str(found.row), "title": entry.title, "text": text}) + "\n")


def show(rows: list[dict[str, object]], *, as_json: bool) -> None:
    fastest = max((float(str(row["passages_per_s"])) for row in rows[1:]), default=None)
    own = float(str(rows[0]["passages_per_s"]))
    if as_json:
        for row in rows:
            print(json.dumps(row | {"times": round(own / float(str(row["passages_per_s"])), 2)}))
        return
    print(f"{'':30}{'passages':>10}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'peak MB':>9}{'ours is':>9}")
    for row in rows:
        times = own / float(str(row["passages_per_s"]))
        print(
            f"{row['peer']!s:30}{row['passages']:>10}{row['passages_per_s']:>9}{row['question_p50_ms']:>9}"
            f"{row['question_p95_ms']:>9}{row['peak_mb']:>9}{times:>8.2f}x"
        )
    print(f"ours, from reading to searchable: {rows[0]['reading_to_searchable_s']} s", end="; ")
    print(f"with the model's loading: {rows[0]['with_loading_s']} s")
    if fastest:
        print(f"times the fastest peer: {own / fastest:.2f}")


if __name__ == "__main__":
    main()
