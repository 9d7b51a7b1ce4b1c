"""A shape: what a server's JSON answers hold, for those who check types; at run time they are plain dictionaries.

A test holds these to the shapes in the server's own document, /openapi.json, which says what each field means.
"""

from typing import Any, Literal, NotRequired, Required, TypedDict


class ArticleFields(TypedDict):
    """An article without its text."""

    id: str
    key: str
    title: str
    url: str | None
    source: str | None
    author: str | None
    published: str | None
    published_from: str | None
    language: str | None
    version: int
    revised: str | None
    origin: str | None


class WholeArticle(ArticleFields):
    """An article with its text, or with the window of it that was asked for, which `start` and `end` then bound."""

    text: str
    start: NotRequired[int]
    end: NotRequired[int]


class Stretch(TypedDict):
    """A part of an article's text: `article.text[start:end] == text`."""

    text: str
    start: int
    end: int


class Passage(Stretch):
    """The passage that answers."""

    id: str


class Copy(TypedDict):
    """Another article that tells the same."""

    id: str
    key: str
    title: str
    source: str | None
    url: str | None
    published: str | None
    origin: str | None


class FoundHit(TypedDict):
    """One hit."""

    rank: int
    score: float
    article: ArticleFields
    passage: Passage
    answer: Stretch
    highlights: list[tuple[int, int]]
    text_newer_than_as_of: bool
    also_in: list[Copy]
    why: dict[str, Any] | None


class IndexState(TypedDict):
    """The state of the index that answered."""

    generation: int
    articles: int
    passages: int
    updated: str | None
    pending: int


class Period(TypedDict):
    """The time that the question names, and all hits were published in; nulls where it names none."""

    after: str | None
    before: str | None
    words: str | None


class Answer(TypedDict):
    """The answer to a question: hits, best first."""

    query: str
    as_of: str
    took_ms: float
    index: IndexState
    period: Period
    confidence: float | None
    convincing: bool
    tokens: int | None
    hits: list[FoundHit]


class Likes(TypedDict):
    """The articles that are like one, the most alike first."""

    id: str
    hits: list[FoundHit]


class Told(TypedDict):
    """What is said of a whole answer."""

    query: str
    as_of: str
    confidence: float | None
    convincing: bool


class StoryDay(TypedDict):
    """A day of a story, with the best hit that was published on it."""

    date: str
    hit: FoundHit


class Story(Told):
    """The story that a question asks for, day by day, oldest first."""

    days: list[StoryDay]


class Quotation(Stretch):
    """A sentence of an article, word for word."""

    number: int
    article: ArticleFields
    also_in: list[Copy]


class BriefingDay(TypedDict):
    """What was published on a day."""

    date: str | None
    citations: list[Quotation]


class Briefing(Told):
    """An answer in quotations alone, the newest day first."""

    days: list[BriefingDay]


class Checked(TypedDict):
    """Whether a quote stands in an article."""

    verdict: Literal["exact", "near", "not_found"]
    similarity: float
    wording: Stretch | None
    article: ArticleFields | None


class NewArticle(TypedDict, total=False):
    """An article to be added, or to replace the one with the same key."""

    text: Required[str]
    title: str | None
    key: str | None
    url: str | None
    source: str | None
    author: str | None
    published: str | float | None
    language: str | None


class Trouble(TypedDict):
    """Something met while adding."""

    where: str
    reason: str
    lost: bool
    count: int


class Gone(TypedDict):
    """Files that are gone from a folder, too many at once to be taken for deleted."""

    folder: str
    gone: int
    known: int


class IndexReport(TypedDict):
    """What indexing did."""

    added: int
    changed: int
    unchanged: int
    removed: int
    passages: int
    embedded: int
    files: int
    unchanged_files: int
    feeds: int
    seconds: float
    problems: list[Trouble]
    kept: list[Gone]


class AddReport(IndexReport):
    """What adding did; `ids` are in the order given, null for an article that is lost."""

    ids: list[str | None]


class TextVersion(TypedDict):
    """A text that an article has or had."""

    version: int
    title: str
    text: str
    since: str
    until: str | None


class Versions(TypedDict):
    """The texts that an article has had, newest first."""

    versions: list[TextVersion]


class SourceCount(TypedDict):
    """How many articles a source has."""

    source: str
    articles: int


class FailingPart(TypedDict):
    """A part of a process at work on the index that fails, and is tried again by itself."""

    name: str
    state: Literal["failing"]
    failures: int
    message: str
    since: str
    next_try: str


class State(TypedDict):
    """What is indexed, how much, how fresh."""

    articles: int
    passages: int
    generation: int
    pending: int
    updated: str | None
    model: str
    bytes_on_disk: int
    engine: str
    index: str
    passage_tokens: int
    oldest: str | None
    newest: str | None
    undated: int
    sources: list[SourceCount]
    unused_bytes: int
    moving_to: str | None
    reranker: str | None
    health: Literal["ok", "failing"]
    parts: list[FailingPart]
    damaged: list[str]


class Fault(TypedDict):
    """What went wrong, in one line, and what to do about it."""

    code: str
    message: str
    hint: str | None


class JobState(TypedDict):
    """How a job stands."""

    id: str
    state: Literal["running", "done", "failed"]
    began: str
    ended: str | None
    report: IndexReport | None
    error: Fault | None
