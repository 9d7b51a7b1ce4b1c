"""Routes of articles: read, add, delete, and find those that are like one."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Body, Depends, FastAPI, HTTPException, Query
from fastapi.params import Depends as Dependency
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.middleware import MAX_WRITERS, Slots
from searchsvc.interfaces.http.requests import AROUND, Ident, NewArticle, NewArticles, Only, window
from searchsvc.interfaces.http.responses import Json, document_errors, fresh
from searchsvc.interfaces.serialize import serialize_report
from searchsvc.library import Library
from searchsvc.query import MAX_HITS
from searchsvc.readers.fields import from_record
from searchsvc.search.serialize import serialize_full_article, serialize_similar, serialize_versions
from searchsvc.text.article import Problem, RawArticle, article_id


def add_article_routes(app: FastAPI, library: Library, search_slot: Dependency) -> None:
    """Add the routes of articles; `search_slot` bounds how many searches run at once."""
    writer_slot = Depends(Slots(MAX_WRITERS, "changes"), scope="function")

    @app.get(
        "/articles/{id}",
        operation_id="get_article",
        response_model=schemas.FullArticle,
        response_class=Json,
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
        response_class=Json,
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
        response_class=Json,
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
        response_class=Json,
        responses=document_errors(413, 422, 429, 503),
        dependencies=[Depends(Only()), writer_slot],
        tags=["articles"],
    )
    def add_articles(articles: Annotated[NewArticles, Body()]) -> Response:
        """Add articles, or replace those with the same key: one object or a list; searchable when this answers."""
        new = articles if isinstance(articles, list) else [articles]
        _check_sizes(new, library.settings.article_bytes)
        records = [record for number, article in enumerate(new, 1) for record in _read(article, number)]
        report = library.add(records)
        lost = {problem.where for problem in report.problems if problem.lost}
        keys = [record.key for record in records if isinstance(record, RawArticle)]
        ids = [None if key in lost else article_id(key) for key in keys]
        added: schemas.AddReport = {"ids": ids, **serialize_report(report)}
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
        library.remove([library.article(ident).id])  # `remove` alone would also take a key or a source
        return Response(status_code=204)


def _check_sizes(articles: Sequence[NewArticle], limit: int) -> None:
    for number, article in enumerate(articles, 1):
        size = len(article.text.encode())
        if size > limit:
            raise HTTPException(413, f"the text of article {number} has {size:,} bytes; at most {limit:,} are allowed")


def _read(article: NewArticle, number: int) -> list[RawArticle | Problem]:
    key = hashlib.blake2b(f"{article.title or ''}\n{article.text}".encode(), digest_size=16).hexdigest()
    return list(from_record(article.model_dump(), where=f"article {number}", fallback_key=key))
