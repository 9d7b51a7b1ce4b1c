"""A passage: whole sentences of one article, within a token budget, and the unit that is searched and shown.

`article.text[start:end]` is the passage's text, exactly; its sentences are offsets into the same text. A passage
never crosses the boundary between two stretches of an article (see `cleaning`), and an article's passages come
out about equally long, since a leftover of a few words makes a poor vector and a poor answer.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchsvc.text.article import Span
from searchsvc.text.cleaning import Cleaned

if TYPE_CHECKING:
    from tokenizers import Tokenizer


MAX_TITLE_TOKENS = 64
MAX_CHARACTERS = 30  # a token: to the tokenizer, a word that goes on and on is one unknown token
# Sentences are looked for in so many characters at once, since the time grows with the square. What has none in as many
# is no prose, and is cut into pieces of 150 characters, no more than a passage has tokens, out of 1,000 at once.
LONGEST_PARAGRAPH, PIECE, PIECES = 10_000, 150, 1_000
MAX_SENTENCE = 8  # passages that it fills; what fills more is no prose either. News has none that fills three
MAX_OVERHANG = 1.25  # of an even share, that a passage may go to to end with its paragraph


@dataclass(frozen=True, slots=True)
class Passage:
    """Offsets, in code points of the article's text, of a passage and of its sentences."""

    start: int
    end: int
    sentences: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Sentence:
    start: int
    end: int
    tokens: int
    ends_paragraph: bool


class Splitter:
    """Cuts articles into passages of at most `budget` tokens of `tokenizer`, title not counted.

    `longest` is the number of tokens that the model reads at once: title, passage and special tokens together. Where
    a long title leaves less room than `budget`, the passages get shorter, so that the model reads all of each.
    """

    def __init__(self, tokenizer: "Tokenizer", *, budget: int, longest: int) -> None:
        self._tokenizer = tokenizer
        self._budget = budget
        self._longest = longest - tokenizer.num_special_tokens_to_add(False) - 1

    def heading(self, title: str) -> str:
        """Return the title, cut to the 64 tokens at most that travel with each passage."""
        offsets = self._tokenizer.encode(title, add_special_tokens=False).offsets
        return title if len(offsets) <= MAX_TITLE_TOKENS else title[: offsets[MAX_TITLE_TOKENS - 1][1]]

    def split(self, heading: str, cleaned: Cleaned, language: str | None) -> list[Passage]:
        """Return the passages of an article, in order."""
        budget = min(self._budget, max(16, self._longest - self._count([heading])[0]))
        passages: list[Passage] = []
        for start, end in cleaned.stretches:
            spans = list(_sentences(cleaned.text, start, end, language or "en"))
            counts = self._count([cleaned.text[a:b] for a, b, _ in spans])
            if max(counts, default=0) > MAX_SENTENCE * budget:
                spans = list(_without_endless(cleaned.text, zip(spans, counts, strict=True), MAX_SENTENCE * budget))
                counts = self._count([cleaned.text[a:b] for a, b, _ in spans])
            sentences: list[_Sentence] = []
            for (a, b, last), count in zip(spans, counts, strict=True):
                if count <= budget and b - a <= MAX_CHARACTERS * budget:
                    sentences.append(_Sentence(a, b, max(count, (b - a) // MAX_CHARACTERS), last))
                else:
                    sentences.extend(self._pieces(cleaned.text, a, b, last, budget))
            passages.extend(_packed(sentences, budget))
        return passages

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _pieces(self, text: str, start: int, end: int, last: bool, budget: int) -> Iterator[_Sentence]:
        """Cut a sentence that is longer than a whole passage where it reads least badly."""
        from semantic_text_splitter import TextSplitter

        splitter = TextSplitter.from_huggingface_tokenizer(self._tokenizer, budget)
        limit = MAX_CHARACTERS * budget
        pieces = [
            (cut, min(cut + limit, start + a + len(piece)))
            for a, piece in splitter.chunk_indices(text[start:end])
            for cut in range(start + a, start + a + len(piece), limit)
        ]
        counts = self._count([text[a:b] for a, b in pieces])
        for (a, b), count in zip(pieces, counts, strict=True):
            yield _Sentence(a, b, max(count, (b - a) // MAX_CHARACTERS), last and b == end)


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, ends its paragraph) of each sentence between two offsets, without outer white space."""
    paragraph = start
    while paragraph < end:
        stop = text.find("\n\n", paragraph, end)
        stop = end if stop < 0 else stop
        spans = list(_segmented(text, paragraph, stop, language))
        for number, (a, b) in enumerate(spans, 1):
            yield a, b, number == len(spans)
        paragraph = stop + 2


def _segmented(text: str, start: int, end: int, language: str) -> Iterator[Span]:
    """Yield the sentences of a paragraph, which is segmented window by window where it is long."""
    from sentencex import segment

    while start < end:
        stop = _window_end(text, start, end, LONGEST_PARAGRAPH)
        spans = list(_placed(segment(language, text[start:stop]), start))
        if stop == end:
            yield from spans
        elif len(spans) > 1:
            stop = spans.pop()[0]  # it may go on behind the window
            yield from spans
        else:
            yield from _cut(text, start, stop)
        start = stop


def _without_endless(
    text: str, sentences: Iterable[tuple[tuple[int, int, bool], int]], limit: int
) -> Iterator[tuple[int, int, bool]]:
    """Yield sentences, given with their tokens; in pieces where they have more than `limit`."""
    for (start, end, last), tokens in sentences:
        for a, b in [(start, end)] if tokens <= limit else _cut(text, start, end):
            yield a, b, last and b == end


def _cut(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield short pieces of what holds no sentence."""
    from semantic_text_splitter import TextSplitter

    splitter = TextSplitter(PIECE, trim=False)
    while start < end:
        stop = _window_end(text, start, end, PIECES)
        yield from _placed(splitter.chunks(text[start:stop]), start)
        start = stop


def _placed(pieces: Iterable[str], position: int) -> Iterator[Span]:
    """Yield where pieces of a text stand that follow each other from a position on, without outer white space."""
    for piece in pieces:
        if stripped := piece.strip():
            begin = position + piece.index(stripped)
            yield begin, begin + len(stripped)
        position += len(piece)


def _window_end(text: str, start: int, end: int, size: int) -> int:
    """Return where a window that begins at `start` ends: behind a space in its second half, if there is one."""
    if end - start <= size:
        return end
    space = max(text.rfind(mark, start + size // 2, start + size) for mark in " \n\t")
    return space + 1 if space >= 0 else start + size


def _packed(sentences: Sequence[_Sentence], budget: int) -> Iterator[Passage]:
    """Pack a stretch's sentences into even passages, ending at paragraphs where that costs little."""
    left = sum(sentence.tokens for sentence in sentences)
    group: list[_Sentence] = []
    tokens = 0
    target = 0.0
    for number, sentence in enumerate(sentences):
        if not group:
            target = left / max(1, math.ceil(left / budget))
        group.append(sentence)
        tokens += sentence.tokens
        following = sentences[number + 1].tokens if number + 1 < len(sentences) else 0
        enough = target - following / 2 if sentence.ends_paragraph else MAX_OVERHANG * target
        if tokens >= enough or tokens + following > budget:
            yield _passage(group)
            left -= tokens
            group, tokens = [], 0
    if group:
        yield _passage(group)


def _passage(sentences: Sequence[_Sentence]) -> Passage:
    return Passage(sentences[0].start, sentences[-1].end, tuple((s.start, s.end) for s in sentences))
