"""A draft: an article cleaned and cut, with the text to be embedded for each passage; not recorded yet.

article ── clean ── cut ──► Draft ── embed what is new ──► vectors by digest
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from searchsvc.models import Embedder
from searchsvc.text.article import Article, RawArticle, site_of, storable
from searchsvc.text.boilerplate import Block, blocks_in, without_boilerplate
from searchsvc.text.cleaning import Cleaned, clean, clean_line, clean_title, title_from
from searchsvc.text.language import language_of
from searchsvc.text.passages import Passage, Splitter

PREPARE_VERSION = (
    "1"  # raised whenever cleaning or cutting changes: every file is then read, and every article cut, again
)


@dataclass(frozen=True, slots=True)
class PreparedArticle:
    """An article ready to be recorded; `file` is the path that it came from.

    `digest` is of all that the source gave, `given` of title and text alone. `passages` come with the text to embed
    and its digest; they were cut without the blocks of `junk`, of all that are `held`.
    """

    entry: Article
    digest: bytes
    given: bytes
    file: str | None
    passages: tuple[tuple[Passage, str, bytes], ...]
    blocks: tuple[Block, ...]
    junk: frozenset[int]


@dataclass(frozen=True, slots=True)
class Embedded:
    """New vectors, and those of the sentences in each passage, by the digest of what was embedded."""

    vectors: dict[bytes, NDArray[np.float16]]
    sentences: dict[bytes, NDArray[np.int8]]


class Preparer:
    """Cleans and cuts articles for one model."""

    def __init__(self, embedder: Embedder, budget: int) -> None:
        """Cut passages of at most `budget` tokens."""
        self._embedder = embedder
        self._splitter = Splitter(embedder.tokenizer, budget=budget, longest=embedder.longest)

    def draft(
        self, article: RawArticle, ident: str, file: str | None, junk_among: Callable[[Iterable[int]], frozenset[int]]
    ) -> PreparedArticle | None:
        """Return the draft of an article; None when it holds no sentence that could be searched.

        `junk_among` says which blocks, by number, are junk as far as is known.
        """
        title = clean_title(article.title)
        cleaned = clean(title, article.text)
        source = article.source or site_of(article.url)
        entry = Article(
            row=0,
            id=ident,
            key=storable(article.key),
            title=title or title_from(cleaned.text),
            text=cleaned.text,
            url=article.url and clean_line(article.url),
            source=source and clean_line(source),
            author=article.author and clean_line(article.author),
            published=article.published,
            published_from=article.published_from,
            language=article.language or language_of(cleaned.text),
            origin=article.origin,
        )
        blocks = tuple(blocks_in(entry.source, entry.title, entry.text, entry.origin))
        junk = junk_among(block.number for block in blocks)
        kept = without_boilerplate(cleaned, entry.source, junk, entry.origin)
        passages = self._passages(entry, kept) or self._passages(entry, cleaned)
        if not passages:
            return None
        return PreparedArticle(entry, digest_of(article), given_digest_of(article), file, passages, blocks, junk)

    def again(self, entry: Article, junk: Collection[int]) -> tuple[tuple[Passage, str, bytes], ...]:
        """Return the passages of an article that is recorded already, cut for this model and without some blocks."""
        cleaned = clean("", entry.text)
        whole = Cleaned(entry.text, ((0, len(entry.text)),))
        cleaned = cleaned if cleaned.text == entry.text else whole
        tries = (without_boilerplate(cleaned, entry.source, junk, entry.origin), cleaned, whole)
        return next(filter(None, (self._passages(entry, one) for one in tries)), ())

    def vector_of(self, entry: Article, passage: Passage) -> tuple[str, bytes]:
        """Return the text that is embedded of a passage, and its digest."""
        text = f"{self._splitter.heading(entry.title)}\n{entry.text[passage.start : passage.end]}"
        return text, self._digest(passage, text)

    def embed(self, passages: Iterable[tuple[str, Passage, str, bytes]], known: Collection[bytes]) -> Embedded:
        """Embed passages, given with their article's text, the text to embed and its digest, except the known ones."""
        new = {digest: (text, one, said) for text, one, said, digest in passages if digest not in known}
        vectors = self._embedder.passages([said for _, _, said in new.values()]).astype(np.float16)
        sentences = [[text[a:b] for a, b in one.sentences] for text, one, _ in new.values()]
        likenesses = np.rint(127 * self._embedder.sentences(list(chain.from_iterable(sentences)))).astype(np.int8)
        parts = np.split(likenesses, np.cumsum([len(some) for some in sentences])[:-1]) if new else []
        return Embedded(dict(zip(new, vectors, strict=True)), dict(zip(new, parts, strict=True)))

    def _passages(self, entry: Article, cleaned: Cleaned) -> tuple[tuple[Passage, str, bytes], ...]:
        heading = self._splitter.heading(entry.title)
        found = self._splitter.split(heading, cleaned, entry.language)
        texts = [f"{heading}\n{cleaned.text[one.start : one.end]}" for one in found]
        return tuple((one, text, self._digest(one, text)) for one, text in zip(found, texts, strict=True))

    def _digest(self, passage: Passage, text: str) -> bytes:
        """Return what stands for a model, the text that it embeds of a passage, and how that falls into sentences."""
        cuts = [(start - passage.start, end - passage.start) for start, end in passage.sentences]
        told = f"{self._embedder.fingerprint}{cuts}{text}"
        return hashlib.blake2b(told.encode(), digest_size=16).digest()


def digest_of(article: RawArticle) -> bytes:
    """Return what stands for all that a source gave of an article, and for how it is cut."""
    source = article.source or site_of(article.url)
    given = (
        PREPARE_VERSION,
        article.key,
        clean_title(article.title),
        article.text,
        article.url,
        source,
        article.author,
        article.published,
        article.language,
    )
    return hashlib.blake2b(repr(given).encode(), digest_size=16).digest()


def given_digest_of(article: RawArticle) -> bytes:
    """Return what stands for the title and text that a source gave of an article."""
    return hashlib.blake2b(repr((clean_title(article.title), article.text)).encode(), digest_size=16).digest()
