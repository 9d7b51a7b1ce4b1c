"""Routes for chat tools that are not MCP, and the forms in which these take what a search found.

results ──┬── anthropic_results   Anthropic's `search_result` blocks, one text block a sentence
          └── web_results         what Open WebUI's external search provider expects
/openapi.json ── functions        OpenAI's function tools
"""

from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.function_tools import functions
from searchsvc.interfaces.http.requests import Only, WebSearchRequest
from searchsvc.interfaces.http.responses import Json, document_errors, fresh
from searchsvc.library import Library
from searchsvc.query import MAX_HITS
from searchsvc.search.results import Results
from searchsvc.text.article import Article
from searchsvc.text.sanitize import link, sanitize

MAX_SENTENCE = 4_000  # characters; a passage of 160 tokens seldom has 1,000


def anthropic_results(results: Results, base_url: str) -> list[schemas.AnthropicResult]:
    """Return the hits as Anthropic's `search_result` blocks; the smallest citable unit, a text block, is a sentence.

    Format: https://platform.claude.com/docs/en/build-with-claude/search-results
    """
    return [
        {
            "type": "search_result",
            "source": _address(hit.article, base_url),
            "title": sanitize(hit.article.title),
            "content": [
                {"type": "text", "text": sanitize(hit.article.text[start:end], MAX_SENTENCE)}
                for start, end in hit.sentences
            ],
            "citations": {"enabled": True},
        }
        for hit in results
    ]


def web_results(results: Results, base_url: str) -> list[schemas.WebResult]:
    """Return the hits as Open WebUI's external search provider expects them; each snippet is a whole passage.

    Format: `backend/open_webui/retrieval/web/external.py` of Open WebUI 0.6.
    """
    return [
        {
            "link": _address(hit.article, base_url),
            "title": sanitize(hit.article.title),
            "snippet": sanitize(hit.passage.text, MAX_SENTENCE),
        }
        for hit in results
    ]


def _address(article: Article, base_url: str) -> str:
    """Return where a person can read an article: its own URL, else its page on this server."""
    return link(article.url) or f"{base_url.rstrip('/')}/read/{article.id}"


def add_chat_tool_routes(app: FastAPI, library: Library, slot: Dependency) -> None:
    """Add the routes that chat tools call; `slot` bounds how many searches run at once."""

    @app.post(
        "/websearch",
        operation_id="websearch",
        response_model=list[schemas.WebResult],
        response_class=Json,
        responses=document_errors(413, 422, 429, 503),
        dependencies=[Depends(Only()), slot],
        tags=["chat"],
    )
    def websearch(request: Request, body: Annotated[WebSearchRequest, Body()]) -> Response:
        """Search the news as Open WebUI's external search provider; an API key that it sends is not looked at."""
        results = library.search(body.query, limit=min(body.count, MAX_HITS))
        return fresh(web_results(results, str(request.base_url)))

    tools: list[schemas.FunctionTool] = []

    @app.get(
        "/tools/openai.json",
        operation_id="openai_tools",
        response_model=list[schemas.FunctionTool],
        response_class=Json,
        responses=document_errors(422),
        dependencies=[Depends(Only())],
        tags=["chat"],
    )
    def openai_tools() -> Response:
        """List what can be asked as OpenAI function tools (strict); whoever uses them calls the routes they name."""
        if not tools:
            tools.extend(functions(app.openapi()))
        return fresh(tools)
