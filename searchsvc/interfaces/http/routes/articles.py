"""Routes of articles: read, add, delete, and find those that are like one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Body, Depends, FastAPI, HTTPException, Query
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.middleware import MAX_WRITERS, Slots
from searchsvc.interfaces.http.requests import AROUND, Ident, NewArticle, NewArticles, Only, window
from searchsvc.interfaces.http.responses import document_errors, fresh
from searchsvc.interfaces.serialize import serialize_report
from searchsvc.library import Library
from searchsvc.query import MAX_HITS
from searchsvc.search.serialize import serialize_full_article, serialize_similar, serialize_versions


def add_article_routes(app: FastAPI, library: Library, search_slot: Dependency) -> None:
    """Add the routes of articles; `search_slot` bounds how many searches run at once."""
    writer_slot = Depends(Slots(MAX_WRITERS, "changes"), scope="function")

    @app.get(
        "/articles/{id}",
        operation_id="get_article",
        response_model=schemas.FullArticle,
        responses=document_errors(404, 422, 503),
        dependencies=[Depends(Only("around"))],
        tags=["articles"],
    )
    def get_article(
        ident: Ident,
        around: Annotated[
            str | None,
            Query(
                description="START-END, such as the end of a passage's id: only that part of the text, with up to "
                f"{AROUND} characters before and after it.",
                examples=["1423-1790"],
            ),
        ] = None,
    ) -> Response:
        """Read an article: its fields and its text, or the part of the text around a passage."""
        article = library.article(ident)
        bounds = None if around is None else window(around, len(article.text))
        return fresh(serialize_full_article(article, bounds))

    @app.get(
        "/articles/{id}/similar",
        operation_id="similar_articles",
        response_model=schemas.SimilarArticles,
        responses=document_errors(404, 422, 429, 503),
        dependencies=[Depends(Only("limit")), search_slot],
        tags=["search"],
    )
    def similar_articles(
        ident: Ident, limit: Annotated[int, Query(ge=1, le=MAX_HITS, description="Most hits.")] = 10
    ) -> Response:
        """Find the articles that are like one, each with the passage that is."""
        return fresh(serialize_similar(ident, library.similar(ident, limit), datetime.now(UTC)))

    @app.get(
        "/articles/{id}/versions",
        operation_id="article_versions",
        response_model=schemas.Versions,
        responses=document_errors(404, 422, 503),
        dependencies=[Depends(Only())],
        tags=["articles"],
    )
    def article_versions(ident: Ident) -> Response:
        """Read the texts that an article has had, newest first, each with the time in which it was in force."""
        return fresh(serialize_versions(library.versions(ident)))

    @app.post(
        "/articles",
        operation_id="add_articles",
        response_model=schemas.AddReport,
        responses=document_errors(413, 422, 429, 503),
        dependencies=[Depends(Only()), writer_slot],
        tags=["articles"],
    )
    def add_articles(articles: Annotated[NewArticles, Body()]) -> Response:
        """Add articles, or replace those with the same key: one object or a list; searchable when this answers."""
        new = articles if isinstance(articles, list) else [articles]
        _check_sizes(new, library.settings.article_bytes)
        report = library.add([cast(schemas.NewArticle, article.model_dump()) for article in new])
        added: schemas.AddReport = {"ids": report.ids, **serialize_report(report)}
        return fresh(added)

    @app.delete(
        "/articles/{id}",
        operation_id="delete_article",
        status_code=204,
        response_class=Response,
        responses=document_errors(404, 422, 429, 503),
        dependencies=[Depends(Only()), writer_slot],
        tags=["articles"],
    )
    def delete_article(ident: Ident) -> Response:
        """Take an article out of the index."""
        library.delete(ident)
        return Response(status_code=204)


def _check_sizes(articles: Sequence[NewArticle], limit: int) -> None:
    for number, article in enumerate(articles, 1):
        size = len(article.text.encode())
        if size > limit:
            raise HTTPException(413, f"the text of article {number} has {size:,} bytes; at most {limit:,} are allowed")
