"""A Slack bot: `pip install 'searchsvc[slack]'`, then `python -m searchsvc.connectors.slack`.

/news QUESTION ──┐                                                       ┌──► shown to who asked
@bot QUESTION  ──┼── acknowledged ── asking ── blocks: three hits, More ──┼──► a thread
More           ──┘                                                       └──► shown to who pressed it

It talks to Slack over a socket that it opens itself, so no port of this machine need be open. What articles say goes
into rich text, whose parts Slack shows as they are: no mention, link or mark-up in them is followed.
"""

import argparse
import html
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slack_bolt import Ack, App, Respond, Say
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.error import BoltError
from slack_sdk.errors import SlackClientError

from searchsvc.connectors.citations import link_to
from searchsvc.errors import SearchsvcError
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.query import MAX_HITS
from searchsvc.search.results import Hit, Results
from searchsvc.settings import Settings
from searchsvc.text.dates import long_date
from searchsvc.text.sanitize import one_line, sanitize

TOKENS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")  # xoxb-…, xapp-…
COMMAND = "/news"
MORE = "more_news"
HITS = 3  # at once
LONGEST_NAME = 150  # characters of a title or a source
LONGEST_PASSAGE = 2_000
USAGE = f"Ask in your own words, such as: {COMMAND} what does Russia want from North Korea"
# Slack's mark-up of mentions, channels and links in what people type: <@U1>, <#C1|general>, <https://a.example|a>.
REFERENCE = re.compile(r"<([@#!]?)([^<|>]*)(?:\|([^<>]*))?>")

Block = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bot until it is interrupted; exits with 2 where a token is missing, with 1 where Slack refuses it."""
    parser = argparse.ArgumentParser(
        prog="python -m searchsvc.connectors.slack",
        description=f"Answers {COMMAND} QUESTION and mentions in Slack. {' and '.join(TOKENS)} must be set.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--index", type=Path, metavar="DIR", help="folder of the index (default: ./index)")
    where.add_argument("--url", help="ask this server, and no index on this machine")
    given = parser.parse_args(argv)
    missing = [name for name in TOKENS if not os.environ.get(name)]
    if missing:
        parser.error(f"set {' and '.join(missing)} in the environment; your app's pages on api.slack.com have them")
    bot, socket = (os.environ[name] for name in TOKENS)
    try:
        app = App(token=bot)
        answer_in(app, _library(given.url, given.index))
        SocketModeHandler(app, socket).start()  # type: ignore[no-untyped-call]
    except KeyboardInterrupt:
        parser.exit()
    except SearchsvcError as fault:
        parser.exit(2, f"searchsvc: {fault.message}\n")
    except (BoltError, SlackClientError, OSError) as fault:
        parser.exit(1, f"searchsvc: Slack cannot be reached, or refuses the tokens: {one_line(str(fault), 200)}\n")


def _library(url: str | None, index: Path | None) -> Library | Client:
    if url:
        return Client(url)
    settings = Settings.from_environment()
    return Library(replace(settings, index=index) if index else settings)


def answer_in(app: App, library: Library | Client) -> None:
    """Have a Bolt app answer; each request is acknowledged at once, as Slack wants within three seconds, then searched.

    A command and a button are answered to whoever gave them alone, a mention in its thread.
    """

    @app.command(COMMAND)
    def news(ack: Ack, command: dict[str, Any], respond: Respond) -> None:
        ack()
        respond(**reply(library, asked(command.get("text", ""))))

    @app.event("app_mention")
    def mention(event: dict[str, Any], say: Say) -> None:  # Bolt has acknowledged it
        say(**reply(library, asked(event["text"])), thread_ts=event.get("thread_ts", event["ts"]))

    @app.action(MORE)
    def more(ack: Ack, action: dict[str, Any], respond: Respond) -> None:
        ack()
        shown, as_of, question = action["value"].split(" ", 2)
        respond(**reply(library, question, shown=int(shown), as_of=as_of), replace_original=False)


# ---------------------------------------------------------------------- what the bot says


def reply(library: Library | Client, question: str, *, shown: int = 0, as_of: str | None = None) -> dict[str, Any]:
    """Return the message that answers a question: the next hits after those `shown`, or kindly what is wrong."""
    if not question:
        return _said(USAGE)
    try:
        results = library.search(question, limit=min(shown + HITS + 1, MAX_HITS), as_of=as_of)
    except SearchsvcError as fault:
        return _said(" ".join(f"{part[0].upper()}{part[1:]}." for part in (fault.message, fault.hint) if part))
    hits = results[shown : shown + HITS]
    if not hits:
        return _said(f"Nothing {'more ' if shown else ''}was found for: {one_line(question, LONGEST_NAME)}")
    blocks = [_note(results)] if not shown else []
    blocks += [_block(hit, library) for hit in hits]
    if len(results) > shown + HITS:
        blocks.append(_button(f"{shown + HITS} {results.as_of:%Y-%m-%dT%H:%M:%SZ} {question}"))
    return {**_said(f"News: {one_line(question, LONGEST_NAME)}"), "blocks": blocks}


def asked(typed: str) -> str:
    """Return what a person asked, without Slack's mark-up."""
    plain = REFERENCE.sub(lambda found: found[3] or ("" if found[1] else found[2]), typed)
    return " ".join(html.unescape(plain).split())


def _said(sentence: str) -> dict[str, Any]:
    """Return a message; whatever in it could be mark-up is escaped."""
    return {"text": html.escape(sentence, quote=False), "unfurl_links": False, "unfurl_media": False}


def _note(results: Results) -> Block:
    """Return the line above the hits: the question, the time that it was taken to name, and any doubt."""
    parts = [results.query.text]
    if results.period:
        parts.append(f"published {results.period.words}")
    if not results.convincing:
        parts.append("nothing convincing was found; this is the nearest")
    return _rich({"type": "rich_text_section", "elements": [_text(one_line(" · ".join(parts), 1_500), italic=True)]})


def _block(hit: Hit, library: Library | Client) -> Block:
    """Return a hit: title and link, date and source, and the passage as a quote with its answering sentence bold."""
    article, passage, answer = hit.article, hit.passage, hit.answer
    title = one_line(article.title, LONGEST_NAME) or "untitled"
    url = link_to(article, library)
    head = {"type": "link", "url": url, "text": title, "style": {"bold": True}} if url else _text(title, bold=True)
    published, others = article.published, len(hit.also_in)
    facts = [
        long_date(published) if published else "undated",
        one_line(article.credit or "", LONGEST_NAME),
        f"and in {others} other{'s' if others > 1 else ''}" if others else "",
    ]
    start, end = (answer.start - passage.start, answer.end - passage.start) if answer else (0, 0)
    text = sanitize(passage.text, LONGEST_PASSAGE)
    parts = (_text(text[:start]), _text(text[start:end], bold=True), _text(text[end:]))
    return _rich(
        {"type": "rich_text_section", "elements": [head, _text(f"\n{' · '.join(filter(None, facts))}\n")]},
        {"type": "rich_text_quote", "elements": [part for part in parts if part["text"]]},
    )


def _button(value: str) -> Block:
    button = {"type": "button", "action_id": MORE, "value": value, "text": {"type": "plain_text", "text": "More"}}
    return {"type": "actions", "elements": [button]}


def _rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def _text(text: str, **style: bool) -> Block:
    return {"type": "text", "text": text, **({"style": style} if style else {})}


if __name__ == "__main__":
    main()
