"""The pipeline: a query is answered from one snapshot.

query ── vector, terms ──► candidates ── fuse, freshness, (rerank,) group ──► passages ── answer sentence ──► hits
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from searchsvc.catalogue import Catalogue, StoredPassage, to_microseconds
from searchsvc.engines import Candidates, Snapshot
from searchsvc.errors import DamagedIndex
from searchsvc.models import Embedder, Reranker
from searchsvc.query import Query
from searchsvc.query.interpretation import Interpretation
from searchsvc.search.answer_sentence import answer_sentence, locate_matches, term_weights, weight_share
from searchsvc.search.confidence import confidence
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
from searchsvc.search.results import Hit, IndexState, Results
from searchsvc.search.token_budget import BudgetItem, within_budget
from searchsvc.text.analysis import locate_terms
from searchsvc.text.article import Article

CANDIDATES = 1_000  # of each retriever
LAST = datetime.max.replace(tzinfo=UTC)
PAIR_BOOST = 0.4  # of two terms side by side, against each of them anywhere
LOOKUP_PAIR_BOOST = 2.0  # where they are a name that is looked up
RERANKED = 30  # passages that a reranker reads
LEXICAL_THREADS = ThreadPoolExecutor(4, "lexical")  # tantivy searches while the model is at work
SPARE = 3  # more articles than asked for, in case one is deleted while the query is answered


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What answers queries: a snapshot of the engine, the texts in the catalogue, and the models.

    `calibrated` says whether confidence can be told from this model's cosines.
    """

    snapshot: Snapshot
    catalogue: Catalogue
    embedder: Embedder
    reranker: Reranker | None = None
    calibrated: bool = True

    def run(self, query: Query, interpretation: Interpretation) -> Results:
        """Answer a query; where nothing was published in the period that it names, at any time.

        Raises DamagedIndex where the catalogue has been replaced by another since the snapshot was taken.
        """
        began = time.perf_counter()
        results = self._run(query, interpretation)
        if not results.hits and interpretation.period is not None:
            results = self._run(query, interpretation.without_period())
        return replace(results, took_ms=(time.perf_counter() - began) * 1_000)

    def _run(self, query: Query, interpretation: Interpretation) -> Results:
        snapshot, catalogue = self.snapshot, self.catalogue
        dense, fused = self._candidates(query, interpretation)
        # Without folding each article is a cluster of its own: `int` gives its row back.
        cluster = catalogue.near_duplicates.cluster_of if query.fold else int
        ranking = fused.best_first()
        if query.fold:
            ranking = prefer_originals(ranking, {*fused.articles.tolist()}, catalogue)
        if self.reranker is not None:
            ranking = self._reranked(interpretation.topic, ranking, self.reranker)
        with catalogue.reading():
            ranked = group(ranking, query.limit + SPARE, query.per_article, cluster)
            if catalogue.changes.identity(snapshot.generation) != snapshot.identity:
                raise DamagedIndex("the index is being replaced")
            passages = catalogue.passages.by_row(candidate.row for candidate in ranked)
            articles = catalogue.articles.by_row({candidate.article for candidate in ranked})
            sentences = catalogue.vectors.of_sentences(candidate.row for candidate in ranked)
            duplicates = self._near_duplicates(interpretation, articles) if query.fold else {}
        ranked = [one for one in ranked if one.row in passages and one.article in articles and one.row in sentences]
        ranked = group(ranked, query.limit, query.per_article)
        if query.explain:
            ranked = self._with_pairs_apart(interpretation, ranked)
        found = Found(ranked, passages, articles, sentences, duplicates)
        terms = interpretation.topic_terms
        weights = term_weights(terms, snapshot.frequencies(terms), snapshot.passages)
        certainty = _confidence(interpretation, dense, found, weights) if self.calibrated else None
        tokens = None
        if query.max_tokens is not None:
            found, tokens = self._within_budget(found, query.max_tokens)
        return Results(
            query=query,
            hits=self._hits(interpretation, found, weights),
            index=IndexState(
                generation=snapshot.generation,
                articles=snapshot.articles,
                passages=snapshot.passages,
                updated=snapshot.updated,
                pending=catalogue.changes.last() - snapshot.generation,
            ),
            period=interpretation.period,
            confidence=certainty,
            tokens=tokens,
            took_ms=0.0,
        )

    def _candidates(self, query: Query, interpretation: Interpretation) -> tuple[Candidates, Fused]:
        """Return the dense candidates, and those of both retrievers with their scores."""
        snapshot, filters, is_lookup = self.snapshot, interpretation.filters, interpretation.is_lookup
        boosts = dict.fromkeys(interpretation.term_pairs, LOOKUP_PAIR_BOOST if is_lookup else PAIR_BOOST)
        lexical = LEXICAL_THREADS.submit(snapshot.lexical, interpretation.terms, CANDIDATES, filters, boosts)
        dense = snapshot.dense(self.embedder.question(interpretation.topic), CANDIDATES, filters)
        fused = fuse(dense, lexical.result(), LOOKUP_DENSE_WEIGHT if is_lookup else DENSE_WEIGHT)
        if query.freshness and interpretation.period is None:
            recent = recency(*snapshot.published(fused.rows), to_microseconds(query.as_of))
            fused = add_freshness(fused, recent, urgent=interpretation.is_urgent)
        return dense, fused

    def _reranked(self, topic: str, ranking: Iterator[Ranked], reranker: Reranker) -> Iterator[Ranked]:
        """Yield the best passages as a reranker orders them, then the others; a passage that has gone is left out."""
        first = list(islice(ranking, RERANKED))
        with self.catalogue.reading():
            passages = self.catalogue.passages.by_row(candidate.row for candidate in first)
            articles = self.catalogue.articles.by_row({candidate.article for candidate in first})
        first = [one for one in first if one.row in passages and one.article in articles]
        pairs = [(articles[one.article], passages[one.row].passage) for one in first]
        texts = [f"{article.title}\n{article.text[passage.start : passage.end]}" for article, passage in pairs]
        yield from rerank(first, reranker.scores(topic, texts))
        yield from ranking

    def _near_duplicates(
        self, interpretation: Interpretation, articles: Iterable[int]
    ) -> dict[int, tuple[Article, ...]]:
        """Return the near-duplicates of each article that a query lets through, in the order shown."""
        shown: dict[int, tuple[Article, ...]] = {}
        for row in articles:
            others = self.catalogue.articles.by_row(self.catalogue.near_duplicates.of(row)).values()
            passing = filter(interpretation.filters.allows, others)
            shown[row] = tuple(sorted(passing, key=lambda article: (article.published or LAST, article.row)))
        return shown

    def _with_pairs_apart(self, interpretation: Interpretation, ranked: list[Ranked]) -> list[Ranked]:
        """Return passages with what pairs of terms add apart from what terms add, as only an explanation needs it."""
        lexical = self.snapshot.lexical(interpretation.terms, CANDIDATES, interpretation.filters)
        scores = dict(zip(lexical.rows.tolist(), lexical.scores.tolist(), strict=True))
        lowest = float(lexical.scores.min(initial=0.0))  # whoever is not among them has less, if only a little
        return [separate_pairs(candidate, scores.get(candidate.row, lowest)) for candidate in ranked]

    def _within_budget(self, found: "Found", max_tokens: int) -> tuple["Found", int]:
        """Return what fits into so many tokens (see `token_budget`), and how many it has, titles counted."""
        pairs = [(found.articles[one.article], found.passages[one.row].passage) for one in found.ranked]
        texts = [text for article, span in pairs for text in (article.title, article.text[span.start : span.end])]
        encodings = self.embedder.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        counts = [len(encoding) for encoding in encodings]
        items = [
            BudgetItem(title + text, tuple(article.text[start:end] for start, end in passage.sentences))
            for (article, passage), title, text in zip(pairs, counts[::2], counts[1::2], strict=True)
        ]
        places = within_budget(items, max_tokens)
        return replace(found, ranked=[found.ranked[place] for place in places]), sum(items[at].tokens for at in places)

    def _hits(self, interpretation: Interpretation, found: "Found", weights: Mapping[str, float]) -> tuple[Hit, ...]:
        question = self.embedder.sentences([interpretation.topic])[0]
        hits = []
        for rank, candidate in enumerate(found.ranked, 1):
            passage, article = found.passages[candidate.row].passage, found.articles[candidate.article]
            vectors = found.sentences[candidate.row].astype(np.float32) / np.float32(127)
            if vectors.shape[1] != len(question):
                # Indexed where the same model was run in another way, such as on a GPU: its sentences' vectors differ.
                vectors = self.embedder.sentences([article.text[start:end] for start, end in passage.sentences])
            matches = locate_matches(article.text[passage.start : passage.end], passage.start, weights)
            answer = answer_sentence(
                interpretation, article.text, passage.sentences, vectors @ question, matches, weights
            )
            hits.append(
                Hit(
                    rank=rank,
                    score=candidate.score,
                    article=article,
                    passage=article.excerpt(passage.start, passage.end),
                    answer=article.excerpt(*answer),
                    highlights=tuple(dict.fromkeys((start, end) for _, start, end in matches)),
                    also_in=found.near_duplicates.get(candidate.article, ()),
                    sentences=passage.sentences,
                    why=candidate,
                )
            )
        return tuple(hits)


@dataclass(frozen=True, slots=True)
class Found:
    """The passages to show, best first, and what the catalogue holds of them, by row."""

    ranked: Sequence[Ranked]
    passages: Mapping[int, StoredPassage]
    articles: Mapping[int, Article]
    sentences: Mapping[int, NDArray[np.int8]]
    near_duplicates: Mapping[int, tuple[Article, ...]]


def prefer_originals(ranking: Iterable[Ranked], articles: Collection[int], catalogue: Catalogue) -> Iterator[Ranked]:
    """Yield the passages, but not of an article that has a near-duplicate of better standing among the `articles`.

    Of near-duplicates the one with the best passage is shown: a stranger's, edited for it or with a date of its own
    making, must not stand for the original (see `sources.standing`).
    """
    outranked: dict[int, bool] = {}
    for candidate in ranking:
        article = candidate.article
        if article not in outranked:
            others = [other for other in catalogue.near_duplicates.of(article) if other in articles]
            standings = catalogue.articles.standings([article, *others]) if others else {}
            outranked[article] = bool(standings) and standings.get(article, 0) < max(standings.values())
        if not outranked[article]:
            yield candidate


def _confidence(interpretation: Interpretation, dense: Candidates, found: Found, weights: Mapping[str, float]) -> float:
    """Return how sure it is that the best passage answers; 0 where there is none."""
    if not found.ranked:
        return 0.0
    best = found.ranked[0]
    passage, article = found.passages[best.row].passage, found.articles[best.article]
    text = f"{article.title}\n{article.text[passage.start : passage.end]}"
    share = weight_share((term for term, _, _ in locate_terms(text, weights)), weights)
    return confidence(float(dense.scores.max(initial=0.0)), share, is_lookup=interpretation.is_lookup)
