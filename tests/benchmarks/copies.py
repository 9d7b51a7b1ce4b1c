"""Copies: how surely a copied article is told from one that says something else, on pairs made by realistic edits.

    python tests/benchmarks/copies.py FOLDER [--pairs 2000] [--wrong 20] [--seed 1] [--json]

Takes the articles of FOLDER/corpus.jsonl[.gz] and makes of each one copy, by the edits that publishers make, and one
article that is no copy though it reads alike. A pair counts as found where both have a band in common and the second
look says yes, as in an index. Precision and recall have 95 % intervals (Wilson); the table shows each kind of pair.
"""

import argparse
import gzip
import json
import math
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from searchsvc.text.cleaning import clean
from searchsvc.text.dates import parse_published
from searchsvc.text.near_duplicates import ComparedText, Likeness, bands, likeness

SHORTEST = 5  # paragraphs of an article that is taken

# What replaces what: an editor's changes of wording.
WORDINGS = {
    "said": "told reporters", "says": "said", "about": "around", "however": "but", "including": "among them",
    "because": "since", "also": "too", "percent": "per cent", "while": "as", "people": "persons", "began": "started",
    "big": "large", "show": "reveal", "many": "a lot of", "after": "following", "help": "assist", "buy": "purchase",
    "more than": "over", "according to": "as per", "last year": "a year ago", "used": "utilised", "but": "though",
    "children": "kids", "police": "officers", "president": "leader", "company": "firm", "first": "initial",
}  # fmt: skip
AGENCIES = ("Reuters", "AP", "AFP", "dpa", "PA Media", "UPI", "Bloomberg", "ANI")
PLACES = ("LONDON", "WASHINGTON", "PARIS", "BERLIN", "NEW YORK", "KYIV", "BEIJING", "NEW DELHI", "CAIRO")
JUNK = (
    "Sign up for our morning newsletter and never miss a story.",
    "READ MORE: What we know so far",
    "Follow us on Twitter and Facebook for the latest updates.",
    "Advertisement",
    "Story continues below",
    "Subscribe to continue reading. Already a member? Log in here.",
    "Copyright 2022 The Daily Herald. All rights reserved. This material may not be published, broadcast, rewritten "
    "or redistributed without permission.",
    "Photo: Getty Images",
    "Share this article on social media or send it to a friend by email.",
    "This story was originally published by our partner and is shared here with permission.",
    "To comment on this story, write to letters@post.example.",
    "More from this section",
    "Get the app for breaking stories as they happen.",
    "The views in this article are the author's own.",
    "Listen to this story on our podcast, wherever you get yours.",
    "Our journalism needs your help. Support independent reporting with a contribution from as little as £1.",
)
SOURCES = ("dailyherald.example", "post.example", "tribune.example", "morning.example")

Edit = Callable[["Text", random.Random], None]


class Text:
    """An article's paragraphs while it is edited."""

    def __init__(self, paragraphs: list[str]) -> None:
        self.paragraphs = list(paragraphs)

    def telling(self, like: ComparedText) -> ComparedText:
        return replace(like, text="\n\n".join(self.paragraphs))


# ---------------------------------------------------------------------- what publishers do


def agency_line(text: Text, rng: random.Random) -> None:
    agency = rng.choice(AGENCIES)
    text.paragraphs.append(
        rng.choice(
            (
                f"({agency})",
                f"Reporting by {agency}; editing by John Miller and Ann Smith",
                f"(This story has not been edited by our staff and is published from a feed of {agency}.)",
                f"___ {agency} writers in Geneva and Washington contributed to this report.",
            )
        )
    )


def dateline(text: Text, rng: random.Random) -> None:
    day = f", {rng.choice(('March', 'June', 'Oct'))} {rng.randint(1, 28)}" if rng.random() < 0.5 else ""
    text.paragraphs[0] = f"{rng.choice(PLACES)}{day} ({rng.choice(AGENCIES)}) — {text.paragraphs[0]}"


def updated(text: Text, rng: random.Random) -> None:
    hour = f"{rng.randint(0, 23)}:{rng.randint(10, 59)}"
    note = rng.choice(
        (
            f"Updated at {hour} GMT",
            f"Last updated {rng.randint(1, 28)} June 2022 {hour}",
            "This story has been updated.",
            "This article has been corrected to spell a name rightly.",
        )
    )
    text.paragraphs.insert(rng.choice((0, len(text.paragraphs))), note)


def drop(text: Text, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        if len(text.paragraphs) > 3:
            del text.paragraphs[rng.randrange(len(text.paragraphs))]


def cut(text: Text, rng: random.Random) -> None:
    """Keep the first paragraphs, as many as make at least eighty words."""
    least = next((n for n in range(1, len(text.paragraphs)) if _words(text.paragraphs[:n]) >= 80), 1)
    del text.paragraphs[rng.randint(least, max(least, len(text.paragraphs) - 1)) :]


def reword(text: Text, rng: random.Random) -> None:
    share = rng.uniform(0.2, 1.0)
    for number, word, other in [(n, *pair) for n in range(len(text.paragraphs)) for pair in WORDINGS.items()]:
        if rng.random() < share:
            text.paragraphs[number] = text.paragraphs[number].replace(f" {word} ", f" {other} ", 1)


def typography(text: Text, rng: random.Random) -> None:
    curly = rng.random() < 0.5
    pairs = (("'", "’"), (" - ", " — "), ("...", "…"), ('"', "“"), (" ", "\u00a0"))
    for plain, typeset in pairs:
        old, new = (plain, typeset) if curly else (typeset, plain)
        text.paragraphs = [paragraph.replace(old, new) for paragraph in text.paragraphs]


def junk(text: Text, rng: random.Random) -> None:
    for line in rng.sample(JUNK, rng.randint(1, 3)):
        text.paragraphs.insert(rng.randrange(len(text.paragraphs) + 1), line)


def join(text: Text, rng: random.Random) -> None:
    """Set paragraphs in another way."""
    at = rng.randrange(len(text.paragraphs) - 1)
    text.paragraphs[at : at + 2] = [" ".join(text.paragraphs[at : at + 2])]


def nothing(_text: Text, _rng: random.Random) -> None:
    """Leave the text alone: only the title is another."""


COPIES: dict[str, tuple[Edit, ...]] = {
    "re-titled": (nothing,),
    "agency line and dateline": (agency_line, dateline),
    "updated note": (updated,),
    "typography": (typography, join),
    "small wording": (reword,),
    "junk lines": (junk,),
    "1-3 paragraphs dropped": (drop,),
    "cut after some paragraphs": (cut,),
    "cut, dateline, agency line, wording": (cut, dateline, agency_line, reword),
    "dropped, wording, junk": (drop, reword, junk),
    "everything but cut": (drop, reword, typography, dateline, agency_line, updated),
    "everything": (cut, reword, typography, dateline, updated, junk),
}


def retitled(original: ComparedText, rng: random.Random) -> str:
    """Return the title as it was, in another order, or one made of the first sentence."""
    words, first = original.title.split(), original.text.split()[: rng.randint(6, 12)]
    return rng.choice((original.title, " ".join(rng.sample(words, len(words))), " ".join(first)))


def copies(text: Text, original: ComparedText, rng: random.Random) -> Iterator[tuple[str, ComparedText, ComparedText]]:
    name = rng.choice(list(COPIES))
    for edit in COPIES[name]:
        edit(text, rng)
    when = None if rng.random() < 0.1 else _later(original.published, timedelta(hours=rng.randint(0, 40)))
    copy = replace(text.telling(original), title=retitled(original, rng), source=rng.choice(SOURCES), published=when)
    yield name, original, copy


# ---------------------------------------------------------------------- what only reads alike


def updates(
    text: Text, other: Text, original: ComparedText, rng: random.Random
) -> Iterator[tuple[str, ComparedText, ComparedText]]:
    """Add one to four paragraphs of facts: by the same source, or by another that had the later version."""
    facts = [one for one in other.paragraphs if len(one.split()) >= 18][: rng.randint(1, 4)]
    if not facts:
        return
    name = f"update, {len(facts)} paragraph{'s' * (len(facts) > 1)} of facts"
    for fact in facts:
        text.paragraphs.insert(rng.choice((0, 1, rng.randrange(len(text.paragraphs) + 1))), fact)
    for edit in rng.sample((reword, updated, typography), rng.randint(0, 2)):
        edit(text, rng)
    same = rng.random() < 0.75
    when = _later(original.published, timedelta(hours=rng.randint(1, 12) if same else rng.randint(24, 72)))
    source = original.source if same else rng.choice(SOURCES)
    if not same:
        name += ", another source"
    yield name, original, replace(text.telling(original), source=source, published=when)


def live_blog(
    text: Text, original: ComparedText, rng: random.Random
) -> Iterator[tuple[str, ComparedText, ComparedText]]:
    """Two states of a page to which entries are added at the top, and from which old ones may be dropped."""
    new = rng.randint(2, max(2, len(text.paragraphs) // 3))
    gone = rng.choice((0, 0, rng.randint(1, max(1, len(text.paragraphs) // 3))))
    before = Text(text.paragraphs[new:])
    after = Text(text.paragraphs[: len(text.paragraphs) - gone])
    if _words(text.paragraphs[:new]) < 30:
        return
    when = _later(original.published, timedelta(hours=rng.randint(1, 6)))
    yield "live blog, two states", before.telling(original), replace(after.telling(original), published=when)


def toll(original: ComparedText, rng: random.Random) -> Iterator[tuple[str, ComparedText, ComparedText]]:
    """Correct one or two figures, as tolls and counts are, wherever they are said."""
    words = original.text.split(" ")
    counts = [word for word in dict.fromkeys(words[5:]) if word.isdigit() and 1 < int(word) < 1900]
    if counts:
        others = {count: str(int(count) + rng.randint(1, 9)) for count in counts[: rng.randint(1, 2)]}
        yield "figures corrected", original, replace(original, text=" ".join(others.get(word, word) for word in words))


def _form(template: str, filling: Iterator[str], rng: random.Random) -> str:
    found = template
    while "#H" in found:
        found = found.replace("#H", next(filling), 1)
    for slot, choose in FORM_SLOTS.items():
        while slot in found:
            found = found.replace(slot, str(choose(rng)), 1)
    return found


FORM_SLOTS: dict[str, Callable[[random.Random], object]] = {
    "#N": lambda rng: rng.randint(1, 70),
    "#M": lambda rng: f"{rng.randint(10_000, 39_000):,}",
    "#P": lambda rng: f"{rng.uniform(0.1, 4):.1f}",
    "#D": lambda rng: rng.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")),
    "#W": lambda rng: rng.choice(("sunny", "cloudy", "rainy", "windy", "foggy", "clear")),
    "#V": lambda rng: rng.choice(("rose", "fell", "gained", "lost", "slipped", "climbed")),
    "#T": lambda rng: rng.choice(("Lions", "Bears", "Kings", "Hawks", "Giants", "Wolves", "Bulls", "Suns")),
    "#F": lambda rng: rng.choice(("Smith", "Jones", "Garcia", "Miller", "Chen", "Brown", "Okafor", "Silva")),
}
FORMS = {
    "lottery": "The winning numbers in #D evening's drawing of the state's Cash Five game were: #N, #N, #N, #N, #N. "
    "The estimated jackpot was $#N million.\n\nPlayers match all five numbers drawn to win the jackpot. Tickets may be "
    "bought at any licensed retailer until half an hour before the drawing. Prizes must be claimed within a year.\n\n"
    "The next drawing will be held on #D. The odds of winning are 1 in #M.",
    "weather": "#D will be #W with a high of #N and a low of #N degrees. Winds from the west will reach #N miles an "
    "hour, and the chance of rain is #N percent.\n\nThe night will be #W. Drivers should take care on roads near the "
    "coast.\n\nThe outlook for the days after is #W, with highs near #N. Our forecasts are made twice daily from the "
    "data of the national weather service. Sign up to receive them by email each morning.",
    "stocks": "Stocks #V on #D. The Dow Jones Industrial Average #V #P percent to close at #M, the S&P 500 #V #P "
    "percent, and the Nasdaq Composite #V #P percent to #M.\n\nAmong the companies that moved most, shares of Acme "
    "#V #P percent. Crude oil #V to $#N a barrel, and gold #V #P percent.\n\nThis report was generated automatically "
    "from market data. Quotes are delayed by at least fifteen minutes. It is no advice to buy or sell any security.",
    "horoscope": "Aries: #H #H\n\nTaurus: #H #H\n\nGemini: #H #H\n\nCancer: #H #H\n\nLeo: #H #H\n\nVirgo: #H #H\n\n"
    "Your daily horoscope is written by our astrologer. To book a personal reading, call our hotline. Calls are "
    "charged at the usual rate.",
    "sport": "#F scored #N points and had #N rebounds as the #T beat the #T #N-#N on #D night.\n\n#F added #N points "
    "for the #T, who have won #N of their last #N games. #F led the #T with #N points.\n\nThe #T play at home against "
    "the #T on #D.\n\nThis recap was made automatically with data supplied by a statistics service.",
    "things to know": "Here's what you need to know to get up to speed and on with your day. You can also get this "
    "delivered to your inbox daily; sign up here.\n\n1. #H\n\n2. #H\n\n3. #H\n\n4. #H\n\n5. #H\n\nPEOPLE ARE TALKING "
    "ABOUT THESE. Read up and join in. Check your local forecast here. And finally, a video to make you smile.",
}


def forms(other: Text, original: ComparedText, rng: random.Random) -> Iterator[tuple[str, ComparedText, ComparedText]]:
    """Fill a template twice: with figures and names, and where it takes sentences (#H) with those of an article."""
    name = rng.choice(list(FORMS))
    said = list(dict.fromkeys(re.split(r"(?<=[.!?])\s+", " ".join(other.paragraphs))))
    if 2 * FORMS[name].count("#H") > len(said):
        return
    sentences = iter(said)
    one, two = _form(FORMS[name], sentences, rng), _form(FORMS[name], sentences, rng)
    if one != two:
        when = _later(original.published, timedelta(days=rng.randint(0, 3)))
        yield (
            f"template: {name}",
            replace(original, title="", text=one),
            replace(original, title="", text=two, published=when),
        )


# ---------------------------------------------------------------------- the benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=2_000, help="articles taken, each for two pairs")
    parser.add_argument("--wrong", type=int, default=0, help="wrongly judged pairs shown")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    articles = list(_articles(options.folder))
    rng.shuffle(articles)
    tally: dict[tuple[bool, str], list[int]] = defaultdict(lambda: [0, 0])
    seconds, looks, shown = 0.0, 0, 0
    for same, name, *pair in _pairs(articles, options.pairs, rng):
        one, two = map(replace, pair)  # so that nothing is known of them yet
        began = time.perf_counter()
        candidate = not set(bands(one)).isdisjoint(bands(two))
        found = candidate and likeness(one, two) is Likeness.COPIES
        seconds += time.perf_counter() - began
        looks += 1
        tally[same, name][0] += 1
        tally[same, name][1] += found
        if found != same and shown < options.wrong:
            shown += 1
            print(
                f"--- {name}: {'missed' if same else 'wrong'} (candidate: {candidate}), {one.source} {one.published} "
                f"{two.source} {two.published}\n{one.text[:1500]}\n--- and\n{two.text[:1500]}\n",
                file=sys.stderr,
            )
    print_(tally, seconds / looks, as_json=options.json)


def print_(tally: dict[tuple[bool, str], list[int]], seconds: float, *, as_json: bool) -> None:
    found = {same: sum(f for (s, _), (_, f) in tally.items() if s is same) for same in (True, False)}
    pairs = {same: sum(n for (s, _), (n, _) in tally.items() if s is same) for same in (True, False)}
    precision, recall = (found[True], found[True] + found[False]), (found[True], pairs[True])
    if as_json:
        rows = [{"copies": s, "kind": k, "pairs": n, "folded": f} for (s, k), (n, f) in tally.items()]
        print(json.dumps({"precision": precision[0] / precision[1], "recall": recall[0] / recall[1],
                          "ms_a_pair": 1_000 * seconds, "kinds": rows}))  # fmt: skip
        return
    for same, heading in ((True, "copies"), (False, "no copies")):
        print(f"{heading:<46}{'pairs':>7}{'folded':>8}")
        for (_, name), (number, folded) in sorted((k, v) for k, v in tally.items() if k[0] is same):
            print(f"    {name:<42}{number:>7}{folded:>8}{folded / number:>8.3f}")
    for name, (some, everything) in (("precision", precision), ("recall", recall)):
        low, high = wilson(some, everything)
        print(f"{name} {some / everything:.4f} [{low:.4f}, {high:.4f}] ({some} of {everything})")
    print(f"{1_000 * seconds:.2f} ms a pair, both texts from the start")


def wilson(some: int, everything: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    share, n = some / everything, everything
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def _pairs(
    articles: list[ComparedText], count: int, rng: random.Random
) -> Iterator[tuple[bool, str, ComparedText, ComparedText]]:
    """Yield pairs with what they are: as many copies as others."""
    near = _near(articles)
    for number in range(min(count, len(articles))):
        original = articles[number]
        other = Text(articles[(number + 1) % len(articles)].text.split("\n\n"))
        paragraphs = original.text.split("\n\n")
        yield from ((True, *pair) for pair in copies(Text(paragraphs), original, rng))
        kind = rng.randrange(6)
        made: Iterator[tuple[str, ComparedText, ComparedText]] = iter(())
        if kind in {0, 1}:
            made = updates(Text(paragraphs), other, original, rng)
        elif kind == 2:
            made = live_blog(Text(paragraphs), original, rng)
        elif kind == 3:
            made = toll(original, rng)
        elif kind == 4:
            made = forms(other, original, rng)
        elif number in near:
            made = iter([("another article on the topic", original, articles[near[number]])])
        yield from ((False, *pair) for pair in made)


def _near(articles: list[ComparedText]) -> dict[int, int]:
    """Return for each article the one whose title shares most of its rarer words, but not most of its text."""
    holding: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(articles):
        for word in {word for word in one.title.casefold().split() if len(word) > 3}:
            holding[word].append(number)
    found = {}
    for number, telling in enumerate(articles):
        shared: dict[int, float] = defaultdict(float)
        for word in {word for word in telling.title.casefold().split() if len(word) > 3}:
            for other in holding[word]:
                shared[other] += 1 / len(holding[word])
        shared.pop(number)
        for other, _ in sorted(shared.items(), key=lambda item: -item[1])[:1]:
            theirs = articles[other]
            if len(telling.different & theirs.different) < 0.3 * min(len(telling.different), len(theirs.different)):
                found[number] = other
    return found


def _articles(folder: Path) -> Iterator[ComparedText]:
    """Yield the articles of a corpus, those that have some paragraphs."""
    file = next(one for one in (folder / "corpus.jsonl.gz", folder / "corpus.jsonl") if one.exists())
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            text = clean(record["title"], record["text"]).text
            if len(text.split("\n\n")) >= SHORTEST:
                said = record.get("published_at") or record.get("date")
                yield ComparedText(record["title"], text, record.get("source"), said and parse_published(said))


def _later(moment: datetime | None, by: timedelta) -> datetime | None:
    return None if moment is None else moment + by


def _words(paragraphs: list[str]) -> int:
    return sum(len(one.split()) for one in paragraphs)


if __name__ == "__main__":
    main()
