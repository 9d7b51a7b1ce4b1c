"""Print what a search found."""

import re
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from searchsvc.interfaces.cli.screen import INDENT, MAX_ADDRESS, print_text
from searchsvc.interfaces.formatting import counted
from searchsvc.query.interpretation import interpret
from searchsvc.query.periods import Period
from searchsvc.search.results import Hit, Results
from searchsvc.search.serialize import explain_in_words
from searchsvc.text.article import Article, public_address
from searchsvc.text.dates import long_date
from searchsvc.text.sanitize import one_line, safe

CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*@", re.IGNORECASE)
MAX_NEAR_DUPLICATES = 5
MAX_PASSAGE = 2_500  # characters shown: a passage has few tokens, but a token can be a megabyte


def print_results(console: Console, results: Results, *, explain: bool = False) -> None:
    """Print the hits, and how many there are among how much."""
    for hit in results:
        _print_hit(console, hit, results.as_of, explain)
    size = counted(results.index.articles, "article")
    among = f"in {results.took_ms:.0f} ms among {size} (as of {long_date(results.as_of)})"
    articles = len({hit.article.id for hit in results})
    passages = f"{counted(len(results), 'passage')} in " if len(results) > articles else ""
    summary = f"{passages}{counted(articles, 'article')} found" if articles else "nothing found"
    print_text(console, Text(f"{summary} {among}", "dim"))
    if not results.convincing and articles:
        print_text(console, Text(f"nothing convincing was found (confidence {results.confidence:.2f})", "yellow"))
    if period := results.period:
        print_text(console, Text(_describe_period(period), "dim"))
    if not articles and (reason := _describe_filters(results)):
        print_text(console, Text(reason, "dim"))


def _describe_period(period: Period) -> str:
    """Return what a question's words of time were taken for, and how to take that back."""
    start = f"from {long_date(period.after)} " if period.after else ""
    words = one_line(period.words)
    return f"only what was published {start}to {long_date(period.before)} (“{words}”); any time: --no-period"


def _print_hit(console: Console, hit: Hit, as_of: datetime, explain: bool) -> None:
    article = hit.article
    rank = Text(f"{hit.rank:>2}".ljust(INDENT), "bold green")
    print_text(console, Text(one_line(article.title) or "Untitled", "bold"), lead=rank, indent=INDENT)
    date = long_date(article.published) if article.published else "undated"
    byline = " · ".join(one_line(part, 100) for part in (article.credit, date, article.author) if part)
    print_text(console, Text(byline, "dim"), indent=INDENT)
    console.print()
    print_text(console, _passage(hit, colour=console.color_system is not None and not console.no_color), indent=INDENT)
    console.print()
    if article.revised is not None:
        newer = ", later than the moment asked for" if article.revised > as_of else ""
        revision = f"This text replaced an earlier one on {long_date(article.revised)}{newer}."
        print_text(console, Text(revision, "dim"), indent=INDENT)
    if hit.also_in:
        print_text(console, Text(_also_in(hit.also_in), "dim"), indent=INDENT)
    if explain and hit.why:
        print_text(console, Text(f"Why: {explain_in_words(hit.why)}", "dim italic"), indent=INDENT)
    # Not wrapped: terminals make a link of a URL only where it stands in one piece.
    console.print(Text(" " * INDENT + _address(article), "dim"), soft_wrap=True)
    console.print()


def _address(article: Article) -> str:
    """Return an article's URL, or else its key, without the user and password that it may hold."""
    address = article.url or article.key
    return one_line(public_address(address) if CREDENTIALS.match(address) else address, MAX_ADDRESS)


def _also_in(articles: Sequence[Article]) -> str:
    """Return the near-duplicates, the earliest first; where the source is not known, by title or key."""
    names = [
        one_line(article.credit or article.title or _address(article), 100)
        + (f" ({long_date(article.published)})" if article.published else "")
        for article in articles[:MAX_NEAR_DUPLICATES]
    ]
    more = f", and {len(articles) - MAX_NEAR_DUPLICATES:,} more" if len(articles) > MAX_NEAR_DUPLICATES else ""
    return f"also in: {', '.join(names)}{more}"


def _passage(hit: Hit, *, colour: bool) -> Text:
    """Return the passage with its answer and the question's words marked; an enormous one is cut around the answer."""
    start, end = hit.passage.start, hit.passage.end
    answer = hit.answer or hit.passage
    if end - start > MAX_PASSAGE:
        start = max(start, min(answer.start - MAX_PASSAGE // 4, end - MAX_PASSAGE))
        end = start + MAX_PASSAGE
    text = Text(safe(hit.article.text[start:end]))
    low, high = (min(max(at - start, 0), end - start) for at in (answer.start, answer.end))
    if colour:
        text.stylize("bold green", low, high)
        for a, b in hit.highlights:
            if start <= a < end:
                text.stylize("underline", a - start, b - start)
    else:
        text = Text.assemble(text[:low], "»", text[low:high], "«", text[high:])
    return Text.assemble("…" if start > hit.passage.start else "", text, "…" if end < hit.passage.end else "")


def _describe_filters(results: Results) -> str:
    """Return what may have left nothing."""
    filters = interpret(results.query).filters
    if not results.index.articles:
        return "the index is empty: searchsvc index PATH… fills it"
    bounds = [
        f"published on or after {long_date(filters.after)}" if filters.after else "",
        f"published on or before {long_date(filters.before)}" if filters.before else "",
        f"source {one_line(' or '.join(sorted(filters.sources)))}" if filters.sources else "",
        f"language {one_line(' or '.join(sorted(filters.languages)))}" if filters.languages else "",
        *(f'"{one_line(phrase)}"' for phrase in filters.phrases),
        *(f'no "{one_line(phrase)}"' for phrase in filters.excluded),
        f"at most {counted(results.query.max_tokens, 'token')}" if results.query.max_tokens is not None else "",
    ]
    described = "; ".join(bound for bound in bounds if bound)
    return f"asked for: {described}" if described else ""
