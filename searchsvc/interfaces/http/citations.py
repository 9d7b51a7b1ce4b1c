"""What is cited: the routes that answer with quotations, by day, by likeness, or to check one.

/articles/{id}/similar   /timeline   /brief   /verify_quote
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.limits import MOST_QUOTE_CHECKS, Json, Turns, refusals
from searchsvc.interfaces.http.requests import BriefAsked, Ident, Only, StoryAsked, bound
from searchsvc.interfaces.serialize import serialize_brief, serialize_quote_check, serialize_similar, serialize_timeline
from searchsvc.library import Library
from searchsvc.query import MAX_HITS
from searchsvc.search.brief import brief_markdown
from searchsvc.search.quotes import LONGEST

FRESH = {"Cache-Control": "no-store"}
REPEATABLE = ("source", "language")


def add_cited(app: FastAPI, library: Library, turn: Dependency) -> None:
    """Add the routes that answer with quotations; `turn` bounds how many searches run at once."""
    documented: dict[str, Any] = {"response_class": Json, "tags": ["search"]}
    checking = Depends(Turns(MOST_QUOTE_CHECKS, "checks of quotes"), scope="function")

    @app.get(
        "/articles/{id}/similar",
        operation_id="similar_articles",
        response_model=schemas.SimilarArticles,
        responses=refusals(404, 422, 429, 503),
        dependencies=[Depends(Only("limit")), turn],
        **documented,
    )
    def similar_articles(
        ident: Ident, limit: Annotated[int, Query(ge=1, le=MAX_HITS, description="Most hits.")] = 10
    ) -> Response:
        """Find the articles that are like one, each with the passage that is."""
        return Json(serialize_similar(ident, library.similar(ident, limit), datetime.now(UTC)), headers=FRESH)

    @app.get(
        "/timeline",
        operation_id="timeline",
        response_model=schemas.Timeline,
        responses=refusals(422, 429, 503),
        dependencies=[Depends(Only(*StoryAsked.model_fields, repeatable=REPEATABLE)), turn],
        **documented,
    )
    def timeline(asked: Annotated[StoryAsked, Query()]) -> Response:
        """Tell a question's story day by day, oldest first: the best hit of each day."""
        told = library.timeline(
            asked.q,
            limit=asked.limit,
            after=bound("after", asked.after, end=False),
            before=bound("before", asked.before, end=True),
            as_of=bound("as_of", asked.as_of, end=True),
            sources=asked.source,
            languages=asked.language,
        )
        return Json(serialize_timeline(told), headers=FRESH)

    @app.get(
        "/brief",
        operation_id="brief",
        response_model=schemas.Brief,
        responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}, **refusals(422, 429, 503)},
        dependencies=[Depends(Only(*BriefAsked.model_fields, repeatable=REPEATABLE)), turn],
        **documented,
    )
    def brief(asked: Annotated[BriefAsked, Query()]) -> Response:
        """Answer a question in sentences that are all quoted, each with its citation, by day; Markdown unless asked."""
        made = library.brief(
            asked.q,
            limit=asked.limit,
            after=bound("after", asked.after, end=False),
            before=bound("before", asked.before, end=True),
            as_of=bound("as_of", asked.as_of, end=True),
            sources=asked.source,
            languages=asked.language,
        )
        if asked.format == "json":
            return Json(serialize_brief(made), headers=FRESH)
        return Response(brief_markdown(made), media_type="text/markdown", headers=FRESH)

    @app.get(
        "/verify_quote",
        operation_id="verify_quote",
        response_model=schemas.QuoteCheck,
        responses=refusals(404, 422, 429, 503),
        dependencies=[Depends(Only("quote", "id")), checking],
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
        return Json(serialize_quote_check(library.verify_quote(quote, ident)), headers=FRESH)
