"""Searching: a question is answered from one snapshot.

question ── vector, words ──► candidates ── fuse, group ──► passages ── mark ──► hits
"""

import time
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, Entry, Found
from searchsvc.embedding import Embedder
from searchsvc.engines import Snapshot
from searchsvc.errors import DamagedIndex
from searchsvc.passages import Span
from searchsvc.questions import Question
from searchsvc.ranking import Ranked, best_sentence, fuse, group, told, word_weights

CANDIDATES = 1_000  # of each retriever
SPARE = 3  # more articles than asked for, in case one is deleted while the question is answered


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers, its article, the sentence that answers best, and where the question's words stand.

    All spans are offsets, in code points, into the article's text.
    """

    rank: int
    score: float
    article: Entry
    start: int
    end: int
    answer: Span
    highlights: tuple[Span, ...]
    why: Ranked

    @property
    def text(self) -> str:
        """The passage's text."""
        return self.article.text[self.start : self.end]

    @property
    def answer_text(self) -> str:
        """The answering sentence's text."""
        return self.article.text[self.answer[0] : self.answer[1]]

    @property
    def passage_id(self) -> str:
        """ARTICLE_ID:START-END."""
        return f"{self.article.id}:{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Results:
    """The answer to one question, best hit first."""

    question: Question
    as_of: datetime
    took_ms: float
    generation: int
    articles: int
    passages: int
    updated: datetime | None
    pending: int
    hits: tuple[Hit, ...]


def answer(question: Question, snapshot: Snapshot, catalogue: Catalogue, embedder: Embedder) -> Results:
    """Answer a question from one snapshot of the engine and the texts in the catalogue.

    Raises DamagedIndex where the catalogue has been replaced by another since the snapshot was taken.
    """
    began = time.perf_counter()
    dense = snapshot.dense(embedder.question(question.text), CANDIDATES, question.allowed)
    lexical = snapshot.lexical(question.words, CANDIDATES, question.allowed)
    ranked = group(fuse(dense, lexical), question.limit + SPARE, question.per_article)
    with catalogue.reading():
        if catalogue.stamp(snapshot.generation) != snapshot.stamp:
            raise DamagedIndex("the index is being replaced")
        passages = catalogue.passages(one.row for one in ranked)
        entries = catalogue.articles({one.article for one in ranked})
        sentences = catalogue.sentence_vectors(one.row for one in ranked)
    there = [one for one in ranked if one.row in passages and one.article in entries and one.row in sentences]
    kept = group(there, question.limit, question.per_article)
    if question.max_tokens is not None:
        kept = _fitting(kept, question.max_tokens, passages, entries, embedder)
    return Results(
        question=question,
        as_of=question.allowed.as_of or datetime.now(UTC),
        hits=_marked(question, kept, passages, entries, sentences, snapshot, embedder),
        generation=snapshot.generation,
        articles=snapshot.articles,
        passages=snapshot.passages,
        updated=snapshot.updated,
        pending=catalogue.generation() - snapshot.generation,
        took_ms=(time.perf_counter() - began) * 1_000,
    )


def _fitting(
    ranked: list[Ranked], most: int, passages: dict[int, Found], entries: dict[int, Entry], embedder: Embedder
) -> list[Ranked]:
    """Return the first passages that together have at most `most` tokens."""
    spans = [(entries[one.article].text, passages[one.row].passage) for one in ranked]
    texts = [text[passage.start : passage.end] for text, passage in spans]
    counts = [len(encoding) for encoding in embedder.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    return ranked[: bisect_right(list(accumulate(counts)), most)]


def _marked(
    question: Question,
    ranked: list[Ranked],
    passages: dict[int, Found],
    entries: dict[int, Entry],
    sentences: dict[int, NDArray[np.int8]],
    snapshot: Snapshot,
    embedder: Embedder,
) -> tuple[Hit, ...]:
    weights = word_weights(question.words, snapshot.frequencies(question.words), snapshot.passages)
    asked = embedder.sentences([question.text])[0]
    hits = []
    for rank, one in enumerate(ranked, 1):
        passage = passages[one.row].passage
        entry = entries[one.article]
        vectors = sentences[one.row].astype(np.float32) / np.float32(127)
        if vectors.shape[1] != len(asked):
            # Indexed where the same model was run in another way, such as on a GPU: its sentences' vectors are others.
            vectors = embedder.sentences([entry.text[start:end] for start, end in passage.sentences])
        likeness = vectors @ asked
        found = told(entry.text[passage.start : passage.end], passage.start, weights)
        marked = best_sentence(passage.sentences, likeness, found, weights)
        shown = tuple(dict.fromkeys((a, b) for _, a, b in found))
        hits.append(Hit(rank, one.score, entry, passage.start, passage.end, marked, shown, one))
    return tuple(hits)
