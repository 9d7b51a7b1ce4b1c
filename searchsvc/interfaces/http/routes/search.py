"""Routes that answer a question: with hits, as a timeline, as a brief; and the check of a quote."""

from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Query, Request
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.middleware import MAX_QUOTE_CHECKS, Slots
from searchsvc.interfaces.http.requests import BriefRequest, Only, SearchRequest, TimelineRequest
from searchsvc.interfaces.http.responses import NO_STORE, Json, document_errors, fresh
from searchsvc.interfaces.http.routes.chat_tools import anthropic_results
from searchsvc.library import Library
from searchsvc.search.brief import brief_markdown
from searchsvc.search.quotes import LONGEST
from searchsvc.search.serialize import serialize_brief, serialize_quote_check, serialize_results, serialize_timeline


def add_search_routes(app: FastAPI, library: Library, slot: Dependency) -> None:
    """Add the routes that answer a question; `slot` bounds how many searches run at once."""
    search_documented: dict[str, Any] = {
        "response_model": schemas.Results | list[schemas.AnthropicResult],
        "response_class": Json,
        "responses": document_errors(422, 429, 503),
        "tags": ["search"],
    }
    documented: dict[str, Any] = {"response_class": Json, "tags": ["search"]}
    quote_slot = Depends(Slots(MAX_QUOTE_CHECKS, "checks of quotes"), scope="function")

    @app.get(
        "/search",
        operation_id="search",
        dependencies=[Depends(Only(*SearchRequest.model_fields)), slot],
        **search_documented,
    )
    def search(request: Request, parameters: Annotated[SearchRequest, Query()]) -> Response:
        """Search the news: answer a question with the best passages, each with its answering sentence and source."""
        return _search(library, parameters, str(request.base_url))

    @app.post("/search", operation_id="search_post", dependencies=[Depends(Only()), slot], **search_documented)
    def search_post(request: Request, parameters: Annotated[SearchRequest, Body()]) -> Response:
        """Search the news, with the question and its conditions as a JSON object."""
        return _search(library, parameters, str(request.base_url))

    @app.get(
        "/timeline",
        operation_id="timeline",
        response_model=schemas.Timeline,
        responses=document_errors(422, 429, 503),
        dependencies=[Depends(Only(*TimelineRequest.model_fields)), slot],
        **documented,
    )
    def timeline(parameters: Annotated[TimelineRequest, Query()]) -> Response:
        """Answer a question day by day, oldest first: the best hit of each day."""
        return fresh(serialize_timeline(library.timeline(parameters.to_query())))

    @app.get(
        "/brief",
        operation_id="brief",
        response_model=schemas.Brief,
        responses={
            200: {"content": {"text/markdown": {"schema": {"type": "string"}}}},
            **document_errors(422, 429, 503),
        },
        dependencies=[Depends(Only(*BriefRequest.model_fields)), slot],
        **documented,
    )
    def brief(parameters: Annotated[BriefRequest, Query()]) -> Response:
        """Answer a question in sentences that are all quoted, each with its citation, by day; Markdown unless asked."""
        answer = library.brief(parameters.to_query())
        if parameters.format == "json":
            return fresh(serialize_brief(answer))
        return Response(brief_markdown(answer), media_type="text/markdown", headers=NO_STORE)

    @app.get(
        "/verify_quote",
        operation_id="verify_quote",
        response_model=schemas.QuoteCheck,
        responses=document_errors(404, 422, 429, 503),
        dependencies=[Depends(Only("quote", "id")), quote_slot],
        **documented,
    )
    def verify_quote(
        quote: Annotated[
            str,
            Query(
                min_length=1,
                max_length=LONGEST,
                description="The sentence, as it is to be quoted.",
                examples=["Russia is likely seeking ammunition"],
            ),
        ],
        ident: Annotated[
            str | None,
            Query(alias="id", description="Only in this article.", examples=["mzxw6ytboi4dcnrq"]),
        ] = None,
    ) -> Response:
        """Check a quote: whether an article, or any, says this word for word or nearly, and how it truly reads."""
        return fresh(serialize_quote_check(library.verify_quote(quote, ident)))


def _search(library: Library, parameters: SearchRequest, base_url: str) -> Json:
    results = library.search(parameters.to_query())
    if parameters.format == "anthropic":
        return fresh(anthropic_results(results, base_url))
    return fresh(serialize_results(results, explain=parameters.explain))
