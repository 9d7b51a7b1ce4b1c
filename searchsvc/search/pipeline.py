"""Searching: a question is answered from one snapshot.

question ── vector, words ──► candidates ── fuse, freshen, (rerank,) group ──► passages ── mark ──► hits
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, StoredPassage, to_microseconds
from searchsvc.engines import Candidates, Snapshot
from searchsvc.errors import DamagedIndex
from searchsvc.models.embedder import Embedder
from searchsvc.models.reranker import Reranker
from searchsvc.query.periods import is_urgent
from searchsvc.query.question import Question
from searchsvc.search.answer_sentence import answer_sentence, locate_matches, weight_share, word_weights
from searchsvc.search.confidence import DOUBTFUL, confidence
from searchsvc.search.freshness import recency
from searchsvc.search.ranking import (
    DENSE_WEIGHT,
    LOOKUP_DENSE_WEIGHT,
    Fused,
    Ranked,
    add_freshness,
    fuse,
    group,
    rerank,
    separate_pairs,
)
from searchsvc.search.token_budget import BudgetItem, within_budget
from searchsvc.text.analysis import locate_terms
from searchsvc.text.article import Article
from searchsvc.text.passages import Span

CANDIDATES = 1_000  # of each retriever
LAST = datetime.max.replace(tzinfo=UTC)
PAIR_BOOST = 0.4  # of two words side by side, against each of them anywhere
LOOKUP_PAIR_BOOST = 2.0  # where they are a name that is looked up
RERANKED = 30  # passages that a reranker reads
BESIDE = ThreadPoolExecutor(4, "lexical")  # tantivy searches while the model is at work
SPARE = 3  # more articles than asked for, in case one is deleted while the question is answered


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers, its article and sentences, the one that answers best, and where the question's words are.

    `also_in` are the other copies of the article's story that the question lets through, the earliest first and undated
    ones last. All spans are offsets, in code points, into the article's text.
    """

    rank: int
    score: float
    article: Article
    start: int
    end: int
    answer: Span
    highlights: tuple[Span, ...]
    why: Ranked
    also_in: tuple[Article, ...] = ()
    sentences: tuple[Span, ...] = ()

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
    """The answer to one question, best hit first.

    `confidence`, 0 to 1, says how likely it is that the library answers the question at all (see `confidence`); None
    for a model whose cosines it is not calibrated for. `tokens`, told where they are bounded, counts those of the hits'
    titles and passages by the model's tokenizer.
    """

    question: Question
    as_of: datetime
    took_ms: float
    generation: int
    articles: int
    passages: int
    updated: datetime | None
    pending: int
    hits: tuple[Hit, ...]
    confidence: float | None
    tokens: int | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether the library hardly answers the question, as far as that can be told."""
        return self.confidence is not None and self.confidence < DOUBTFUL


def run_query(
    question: Question,
    snapshot: Snapshot,
    catalogue: Catalogue,
    embedder: Embedder,
    reranker: Reranker | None = None,
    *,
    calibrated: bool = True,
) -> Results:
    """Answer a question from one snapshot of the engine and the texts in the catalogue.

    `calibrated` says whether confidence can be told from this model's cosines. Raises DamagedIndex where the catalogue
    has been replaced by another since the snapshot was taken.
    """
    began = time.perf_counter()
    boost = LOOKUP_PAIR_BOOST if question.is_lookup else PAIR_BOOST
    pairs = dict.fromkeys(question.pairs, boost)
    by_words = BESIDE.submit(snapshot.lexical, question.words, CANDIDATES, question.allowed, pairs)
    dense = snapshot.dense(embedder.question(question.text), CANDIDATES, question.allowed)
    lexical = by_words.result()
    fused = fuse(dense, lexical, LOOKUP_DENSE_WEIGHT if question.is_lookup else DENSE_WEIGHT)
    if question.freshness and question.period is None:
        fused = _freshened(question, fused, snapshot)
    story = catalogue.near_duplicates.cluster_of if question.fold else int
    candidates = fused.best_first()
    if question.fold:
        candidates = prefer_originals(candidates, {*fused.articles.tolist()}, catalogue)
    if reranker is not None:
        candidates = _reranked(question, candidates, catalogue, reranker)
    with catalogue.reading():
        ranked = group(candidates, question.limit + SPARE, question.per_article, story)
        if catalogue.changes.identity(snapshot.generation) != snapshot.stamp:
            raise DamagedIndex("the index is being replaced")
        passages = catalogue.passages.by_row(one.row for one in ranked)
        entries = catalogue.articles.by_row({one.article for one in ranked})
        sentences = catalogue.vectors.of_sentences(one.row for one in ranked)
        copies = _copies(question, {one.article for one in ranked}, catalogue)
    there = [one for one in ranked if one.row in passages and one.article in entries and one.row in sentences]
    kept = group(there, question.limit, question.per_article)
    if question.explain:
        kept = _told_apart(question, kept, snapshot)
    weights = word_weights(question.subject, snapshot.frequencies(question.subject), snapshot.passages)
    sure = _confidence(question, dense, kept, passages, entries, weights) if calibrated else None
    tokens = None
    if question.max_tokens is not None:
        kept, tokens = _fitting(kept, question.max_tokens, passages, entries, embedder)
    hits = _marked(question, kept, passages, entries, sentences, copies, weights, embedder)
    return Results(
        question=question,
        as_of=question.allowed.as_of or datetime.now(UTC),
        hits=hits,
        confidence=sure,
        generation=snapshot.generation,
        articles=snapshot.articles,
        passages=snapshot.passages,
        updated=snapshot.updated,
        pending=catalogue.changes.last() - snapshot.generation,
        took_ms=(time.perf_counter() - began) * 1_000,
        tokens=tokens,
    )


def prefer_originals(ranked: Iterable[Ranked], there: Collection[int], catalogue: Catalogue) -> Iterator[Ranked]:
    """Yield the passages, but not of an article whose story a copy that is `there` tells on better authority.

    Of the copies of a story the best passage's is shown: a stranger's, edited for it or with a date of its own making,
    must not stand for the original (see `sources.standing`).
    """
    outdone: dict[int, bool] = {}
    for one in ranked:
        article = one.article
        if article not in outdone:
            copies = [copy for copy in catalogue.near_duplicates.of(article) if copy in there]
            standings = catalogue.articles.standings([article, *copies]) if copies else {}
            outdone[article] = bool(standings) and standings.get(article, 0) < max(standings.values())
        if not outdone[article]:
            yield one


def _freshened(question: Question, fused: Fused, snapshot: Snapshot) -> Fused:
    now = to_microseconds(question.allowed.as_of or datetime.now(UTC))
    return add_freshness(fused, recency(*snapshot.published(fused.rows), now), urgent=is_urgent(question.text))


def _reranked(
    question: Question, ranked: Iterator[Ranked], catalogue: Catalogue, reranker: Reranker
) -> Iterator[Ranked]:
    """Yield the best passages as a reranker orders them, then the others; a passage that has gone is left out."""
    first = list(islice(ranked, RERANKED))
    with catalogue.reading():
        passages = catalogue.passages.by_row(one.row for one in first)
        entries = catalogue.articles.by_row({one.article for one in first})
    there = [one for one in first if one.row in passages and one.article in entries]
    spans = [(entries[one.article], passages[one.row].passage) for one in there]
    texts = [f"{entry.title}\n{entry.text[passage.start : passage.end]}" for entry, passage in spans]
    yield from rerank(there, reranker.scores(question.text, texts))
    yield from ranked


def _told_apart(question: Question, ranked: list[Ranked], snapshot: Snapshot) -> list[Ranked]:
    """Return passages with what pairs of words add told apart from what words add, as only an explanation needs it."""
    words = snapshot.lexical(question.words, CANDIDATES, question.allowed)
    scores = dict(zip(words.rows.tolist(), words.scores.tolist(), strict=True))
    least = float(words.scores.min(initial=0.0))  # whoever is not among them has less, if only a little
    return [separate_pairs(one, scores.get(one.row, least)) for one in ranked]


def _confidence(
    question: Question,
    dense: Candidates,
    ranked: Sequence[Ranked],
    passages: dict[int, StoredPassage],
    entries: dict[int, Article],
    weights: Mapping[str, float],
) -> float:
    """Return how sure it is that the best of these passages answers; 0 where there is none."""
    if not ranked:
        return 0.0
    best, entry = passages[ranked[0].row].passage, entries[ranked[0].article]
    text = f"{entry.title}\n{entry.text[best.start : best.end]}"
    held = weight_share((word for word, _, _ in locate_terms(text, weights)), weights)
    return confidence(float(dense.scores.max(initial=0.0)), held, is_lookup=question.is_lookup)


def _copies(question: Question, articles: Iterable[int], catalogue: Catalogue) -> dict[int, tuple[Article, ...]]:
    """Return the other copies of each article that a question lets through, in the order in which they are shown."""
    found: dict[int, tuple[Article, ...]] = {}
    for article in articles if question.fold else ():
        entries = catalogue.articles.by_row(catalogue.near_duplicates.of(article)).values()
        shown = filter(question.allowed.allows, entries)
        found[article] = tuple(sorted(shown, key=lambda one: (one.published or LAST, one.row)))
    return found


def _fitting(
    ranked: list[Ranked], most: int, passages: dict[int, StoredPassage], entries: dict[int, Article], embedder: Embedder
) -> tuple[list[Ranked], int]:
    """Return the passages that fit into `most` tokens (see `fitting`), and how many they have with their titles."""
    spans = [(entries[one.article], passages[one.row].passage) for one in ranked]
    shown = [text for entry, passage in spans for text in (entry.title, entry.text[passage.start : passage.end])]
    counts = [len(encoding) for encoding in embedder.tokenizer.encode_batch_fast(shown, add_special_tokens=False)]
    offers = [
        BudgetItem(title + text, tuple(entry.text[start:end] for start, end in passage.sentences))
        for (entry, passage), title, text in zip(spans, counts[::2], counts[1::2], strict=True)
    ]
    kept = within_budget(offers, most)
    return [ranked[place] for place in kept], sum(offers[place].tokens for place in kept)


def _marked(
    question: Question,
    ranked: list[Ranked],
    passages: dict[int, StoredPassage],
    entries: dict[int, Article],
    sentences: dict[int, NDArray[np.int8]],
    copies: dict[int, tuple[Article, ...]],
    weights: Mapping[str, float],
    embedder: Embedder,
) -> tuple[Hit, ...]:
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
        found = locate_matches(entry.text[passage.start : passage.end], passage.start, weights)
        marked = answer_sentence(question.text, entry.text, passage.sentences, likeness, found, weights)
        shown = tuple(dict.fromkeys((a, b) for _, a, b in found))
        also_in = copies.get(one.article, ())
        hits.append(
            Hit(rank, one.score, entry, passage.start, passage.end, marked, shown, one, also_in, passage.sentences)
        )
    return tuple(hits)
