"""Routes of the index as a whole: its state, the jobs that bring it in step, and whether the server can answer."""

from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.params import Path as PathParameter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from searchsvc import schemas
from searchsvc.interfaces.http.hidden_paths import HiddenPaths
from searchsvc.interfaces.http.middleware import MAX_WRITERS, Slots
from searchsvc.interfaces.http.requests import Only
from searchsvc.interfaces.http.responses import NO_STORE, Json, describe_error, document_errors, error_response, fresh
from searchsvc.interfaces.http.warmup import Warmup, load
from searchsvc.interfaces.serialize import serialize_job, serialize_status
from searchsvc.library import Library
from searchsvc.service.jobs import Jobs


def add_index_routes(app: FastAPI, library: Library, jobs: Jobs, warmup: Warmup, hidden: HiddenPaths) -> None:
    """Add the routes of the index."""
    writer_slot = Depends(Slots(MAX_WRITERS, "changes"), scope="function")

    @app.get(
        "/status",
        operation_id="status",
        response_model=schemas.Status,
        response_class=Json,
        responses=document_errors(422, 503),
        dependencies=[Depends(Only())],
        tags=["state"],
    )
    def status() -> Response:
        """Say what is indexed, how much, and how fresh it is."""
        return fresh(hidden.hide_in(serialize_status(library.status())))

    @app.post(
        "/reindex",
        operation_id="reindex",
        status_code=202,
        response_model=schemas.Job,
        response_class=Json,
        responses=document_errors(422, 429, 503),
        dependencies=[Depends(Only()), writer_slot],
        tags=["state"],
    )
    def reindex() -> Response:
        """Bring the index in step with the served files, folders and feeds; answers with the job that does it."""
        job = jobs.start()
        return Json(hidden.hide_in(serialize_job(job)), 202, {**NO_STORE, "Location": f"/jobs/{job.id}"})

    @app.get(
        "/jobs/{id}",
        operation_id="get_job",
        response_model=schemas.Job,
        response_class=Json,
        responses=document_errors(404, 422, 503),
        dependencies=[Depends(Only())],
        tags=["state"],
    )
    def get_job(ident: Annotated[str, PathParameter(alias="id", description="As POST /reindex gave it.")]) -> Response:
        """Say how a job stands: running, done with its report, or failed with the reason."""
        return fresh(hidden.hide_in(serialize_job(jobs.job(ident))))

    # These two are coroutines, so that they answer while every thread is busy.
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """Say that the server is alive; touches nothing."""
        return fresh({"alive": True})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        """Say whether a search can be answered."""
        if warmup.is_done:
            return fresh({"ready": True, "generation": await run_in_threadpool(load, library)})
        if warmup.error is not None:
            return describe_error(warmup.error, hidden)
        return error_response(503, "loading", "the model and the index are being loaded", "ask again in a few seconds")
