"""Preparing: an article is cleaned and split into passages, with the text to be embedded of each; not recorded yet.

article ── clean ── split ──► PreparedArticle ── embed what is new ──► vectors by digest
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from searchsvc.errors import SearchsvcError
from searchsvc.models import Embedder
from searchsvc.text.article import Article, RawArticle, site_of, storable
from searchsvc.text.boilerplate import Block, blocks_in, without_boilerplate
from searchsvc.text.cleaning import Cleaned, clean, clean_line, clean_title, title_from
from searchsvc.text.language import language_of
from searchsvc.text.passages import Passage, Splitter

# Raised whenever cleaning or splitting changes: every file is then read, and every article split, again.
PREPARE_VERSION = "1"


class Unprepared(Exception):
    """An article on which a library failed; says how."""


@dataclass(frozen=True, slots=True)
class PreparedPassage:
    """A passage with the text that is embedded of it, which ends with the passage, and the digest of its vector."""

    passage: Passage
    text: str
    digest: bytes

    @property
    def sentences(self) -> list[str]:
        """The texts of its sentences."""
        shift = len(self.text) - self.passage.end
        return [self.text[start + shift : end + shift] for start, end in self.passage.sentences]


@dataclass(frozen=True, slots=True)
class PreparedArticle:
    """An article ready to be recorded; `file` is the path that it came from.

    `digest` is of all that the source gave, `content_digest` of title and text alone. `blocks` are those that could be
    boilerplate; the passages were split with those of `left_out` left out.
    """

    article: Article
    digest: bytes
    content_digest: bytes
    file: str | None
    passages: tuple[PreparedPassage, ...]
    blocks: tuple[Block, ...]
    left_out: frozenset[int]


@dataclass(frozen=True, slots=True)
class Embedded:
    """New vectors, and those of the sentences in each passage, by the digest of what was embedded."""

    vectors: dict[bytes, NDArray[np.float16]]
    sentences: dict[bytes, NDArray[np.int8]]


class Preparer:
    """Cleans, splits and embeds articles for one model."""

    def __init__(self, embedder: Embedder, max_tokens: int) -> None:
        """Split into passages of at most `max_tokens` tokens."""
        self._embedder = embedder
        self._splitter = Splitter(embedder.tokenizer, budget=max_tokens, longest=embedder.longest)

    def prepare(
        self,
        raw: RawArticle,
        ident: str,
        file: str | None,
        boilerplate_among: Callable[[Iterable[int]], frozenset[int]],
    ) -> PreparedArticle | None:
        """Prepare an article; return None when it holds no sentence that could be searched.

        `boilerplate_among` says which blocks, by number, are boilerplate as far as is known. Raises Unprepared.
        """
        with _guarded():
            title = clean_title(raw.title)
            cleaned = clean(title, raw.text)
            source = raw.source or site_of(raw.url)
            article = Article(
                row=0,
                id=ident,
                key=storable(raw.key),
                title=title or title_from(cleaned.text),
                text=cleaned.text,
                url=raw.url and clean_line(raw.url),
                source=source and clean_line(source),
                author=raw.author and clean_line(raw.author),
                published=raw.published,
                published_from=raw.published_from,
                language=raw.language or language_of(cleaned.text),
                origin=raw.origin,
            )
            blocks = tuple(blocks_in(article.source, article.title, article.text, article.origin))
            left_out = boilerplate_among(block.number for block in blocks)
            rest = without_boilerplate(cleaned, article.source, left_out, article.origin)
            passages = self._passages(article, rest) or self._passages(article, cleaned)
            if not passages:
                return None
            return PreparedArticle(article, digest_of(raw), content_digest_of(raw), file, passages, blocks, left_out)

    def split(self, article: Article, left_out: Collection[int]) -> tuple[PreparedPassage, ...]:
        """Split an article that is recorded already, leaving blocks out; raises Unprepared."""
        with _guarded():
            whole = Cleaned(article.text, ((0, len(article.text)),))
            cleaned = clean("", article.text)
            cleaned = cleaned if cleaned.text == article.text else whole
            rest = without_boilerplate(cleaned, article.source, left_out, article.origin)
            return next(filter(None, (self._passages(article, text) for text in (rest, cleaned, whole))), ())

    def prepared(self, article: Article, passage: Passage) -> PreparedPassage:
        """Return a recorded passage with the text that is embedded of it."""
        return self._prepared(passage, self._splitter.heading(article.title), article.text)

    def embed(self, passages: Iterable[PreparedPassage], known: Collection[bytes]) -> Embedded:
        """Embed passages, except those whose digest is known."""
        new = {passage.digest: passage for passage in passages if passage.digest not in known}
        vectors = self._embedder.passages([passage.text for passage in new.values()]).astype(np.float16)
        sentences = [passage.sentences for passage in new.values()]
        short = np.rint(127 * self._embedder.sentences(list(chain.from_iterable(sentences)))).astype(np.int8)
        parts = np.split(short, np.cumsum([len(texts) for texts in sentences])[:-1]) if new else []
        return Embedded(dict(zip(new, vectors, strict=True)), dict(zip(new, parts, strict=True)))

    def _passages(self, article: Article, cleaned: Cleaned) -> tuple[PreparedPassage, ...]:
        heading = self._splitter.heading(article.title)
        passages = self._splitter.split(heading, cleaned, article.language)
        return tuple(self._prepared(passage, heading, cleaned.text) for passage in passages)

    def _prepared(self, passage: Passage, heading: str, text: str) -> PreparedPassage:
        """Add the text to embed, and the digest of the model, of that text, and of how it falls into sentences."""
        embedded = f"{heading}\n{text[passage.start : passage.end]}"
        sentences = [(start - passage.start, end - passage.start) for start, end in passage.sentences]
        identity = f"{self._embedder.fingerprint}{sentences}{embedded}"
        return PreparedPassage(passage, embedded, hashlib.blake2b(identity.encode(), digest_size=16).digest())


def new_passages(passages: Iterable[PreparedPassage]) -> list[tuple[Passage, bytes]]:
    """Return passages as the catalogue takes them."""
    return [(prepared.passage, prepared.digest) for prepared in passages]


def digest_of(article: RawArticle) -> bytes:
    """Return the digest of all that a source gave of an article, and of how it is split."""
    source = article.source or site_of(article.url)
    values = (
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
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()


def content_digest_of(article: RawArticle) -> bytes:
    """Return the digest of the title and text that a source gave of an article."""
    return hashlib.blake2b(repr((clean_title(article.title), article.text)).encode(), digest_size=16).digest()


@contextmanager
def _guarded() -> Iterator[None]:
    """Raise Unprepared for whatever an article makes a library raise; a panic of one in Rust is no `Exception`."""
    try:
        yield
    except SearchsvcError:
        raise
    except BaseException as fault:
        if not (isinstance(fault, Exception) or type(fault).__name__ == "PanicException"):
            raise
        raise Unprepared(f"{type(fault).__name__}: {fault}".removesuffix(": ")) from fault
