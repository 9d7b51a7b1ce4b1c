"""A chat: the shapes in which chat tools that are not MCP take what a search found, and the routes that they call.

results ──┬── search_results   Anthropic's `search_result` blocks, one text block a sentence
          └── finds            what Open WebUI's external search provider expects
/openapi.json ── functions     OpenAI's function tools
"""

from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc.interfaces.http.function_tools import functions
from searchsvc.interfaces.http.limits import Json
from searchsvc.interfaces.http.requests import Only, WebQuestion
from searchsvc.interfaces.http.schemas import FunctionTool, WebFind, refusals
from searchsvc.library import Library
from searchsvc.query.question import MOST_HITS
from searchsvc.search.pipeline import Results
from searchsvc.text.article import Article
from searchsvc.text.sanitize import link, sanitize

LONGEST_SENTENCE = 4_000  # characters; a passage of 160 tokens seldom has 1,000


def cited_at(entry: Article, base: str) -> str:
    """Return where a person can read an article: its own URL, else its page on the server whose address is `base`."""
    return link(entry.url) or f"{base.rstrip('/')}/read/{entry.id}"


def search_results(results: Results, base: str) -> list[dict[str, object]]:
    """Return the hits as Anthropic's `search_result` blocks; the smallest citable unit, a text block, is a sentence.

    Shape: https://platform.claude.com/docs/en/build-with-claude/search-results
    """
    return [
        {
            "type": "search_result",
            "source": cited_at(hit.article, base),
            "title": sanitize(hit.article.title),
            "content": [
                {"type": "text", "text": sanitize(hit.article.text[start:end], limit=LONGEST_SENTENCE)}
                for start, end in hit.sentences
            ],
            "citations": {"enabled": True},
        }
        for hit in results.hits
    ]


def finds(results: Results, base: str) -> list[dict[str, object]]:
    """Return the hits as Open WebUI's external search provider expects them; each snippet is a whole passage.

    Shape: `backend/open_webui/retrieval/web/external.py` of Open WebUI 0.6.
    """
    return [
        {
            "link": cited_at(hit.article, base),
            "title": sanitize(hit.article.title),
            "snippet": sanitize(hit.text, limit=LONGEST_SENTENCE),
        }
        for hit in results.hits
    ]


def add_chats(app: FastAPI, library: Library, turn: Dependency) -> None:
    """Add the routes that chat tools call; `turn` bounds how many searches run at once."""

    @app.post(
        "/websearch",
        operation_id="websearch",
        response_model=list[WebFind],
        response_class=Json,
        responses=refusals(413, 422, 429, 503),
        dependencies=[Depends(Only()), turn],
        tags=["chat"],
    )
    def websearch(request: Request, asked: Annotated[WebQuestion, Body()]) -> Response:
        """Search the news as Open WebUI's external search provider; an API key that it sends is not looked at."""
        results = library.search(asked.query, limit=min(asked.count, MOST_HITS))
        return Json(finds(results, str(request.base_url)), headers={"Cache-Control": "no-store"})

    made: list[dict[str, Any]] = []

    @app.get(
        "/tools/openai.json",
        operation_id="openai_tools",
        response_model=list[FunctionTool],
        response_class=Json,
        responses=refusals(422),
        dependencies=[Depends(Only())],
        tags=["chat"],
    )
    def openai_tools() -> Response:
        """List what can be asked as OpenAI function tools (strict); whoever uses them calls the routes they name."""
        if not made:
            made.extend(functions(app.openapi()))
        return Json(made, headers={"Cache-Control": "no-store"})
