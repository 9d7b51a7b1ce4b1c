"""Every JSON answer holds the fields that `schemas` names, with their types, and no other."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from searchsvc import schemas
from searchsvc.catalogue import Job
from searchsvc.ingest.report import Report
from searchsvc.ingest.scan import Kept
from searchsvc.interfaces.http.app import create_app
from searchsvc.interfaces.mcp.citations import (
    cite_full,
    cite_links,
    cite_quote_check,
    cite_results,
    cite_similar,
    cite_timeline,
)
from searchsvc.interfaces.serialize import serialize_job, serialize_report, serialize_verification
from searchsvc.library import Library
from searchsvc.settings import Settings

TYPES = {name: kind for name, kind in vars(schemas).items() if is_typeddict(kind)}
QUESTION = "What do ministers say about grain exports in June 2024?"
QUOTE = "Ministers met in Geneva on Monday."
GRAIN = {"key": "grain", "title": "Grain talks resume", "text": f"{QUOTE} The talks on grain exports go on all week."}
ARTICLES = [
    {**GRAIN, "source": "Geneva Post", "published": "2024-06-18"},
    {**GRAIN, "key": "copy", "source": "Bern Post", "published": "2024-06-19"},
    {"key": "tuna", "title": "Sushi", "text": "Chefs serve tuna grown in a laboratory.", "published": "2024-06-20"},
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(Settings(index=tmp_path_factory.mktemp("schemas") / "index"))


@pytest.fixture(scope="module")
def answers(library: Library) -> Iterator[Mapping[str, Any]]:
    """Give an answer of each kind, by the name of its schema."""
    with TestClient(create_app(library), base_url="http://127.0.0.1") as client:

        def get(path: str, **parameters: object) -> Any:
            return client.get(path, params=parameters).json()  # type: ignore[arg-type]

        added = client.post("/articles", json=ARTICLES).json()
        ident = added["ids"][0]
        now = datetime.now(UTC)
        results = library.search(QUESTION, max_tokens=300)
        yield {
            "AddReport": added,
            "Results": get("/search", q=QUESTION, explain=True, max_tokens=300),
            "FullArticle": get(f"/articles/{ident}", around="0-5"),
            "Versions": get(f"/articles/{ident}/versions"),
            "SimilarArticles": get(f"/articles/{ident}/similar"),
            "Timeline": get("/timeline", q=QUESTION),
            "Brief": get("/brief", q=QUESTION, format="json"),
            "QuoteCheck": get("/verify_quote", quote=QUOTE),
            "Status": get("/status"),
            "ErrorResponse": get("/nowhere"),
            "AnthropicResult": get("/search", q=QUESTION, format="anthropic")[0],
            "WebResult": client.post("/websearch", json={"query": QUESTION}).json()[0],
            "FunctionTool": get("/tools/openai.json")[0],
            "Job": serialize_job(Job("1", now, now, json.dumps(serialize_report(Report(kept=[Kept("news", 3, 4)]))))),
            "Verification": serialize_verification(library.verify()),
            "ArticleLinks": cite_links(results, "/read/"),
            "FetchedArticle": cite_full(library.article(ident), "/read/"),
            "CitedResults": cite_results(results, "/read/"),
            "CitedSimilar": cite_similar(ident, library.similar(ident, 2), "/read/"),
            "CitedTimeline": cite_timeline(library.timeline(QUESTION), "/read/"),
            "CitedQuoteCheck": cite_quote_check(library.verify_quote(QUOTE), "/read/"),
        }


ANSWERS = (
    "AddReport Results FullArticle Versions SimilarArticles Timeline Brief QuoteCheck Status ErrorResponse "
    "AnthropicResult WebResult FunctionTool Job Verification ArticleLinks FetchedArticle CitedResults CitedSimilar "
    "CitedTimeline CitedQuoteCheck"
).split()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_the_fields_of_its_schema_and_no_other(name: str, answers: Mapping[str, Any]) -> None:
    adapter = TypeAdapter(list[TYPES[name]], config=ConfigDict(extra="forbid", strict=True))  # type: ignore[valid-type]
    adapter.validate_json(json.dumps([answers[name]]))
    with pytest.raises(ValidationError, match="extra_forbidden"):
        adapter.validate_json(json.dumps([{**answers[name], "more": 1}]))


def test_the_answers_hold_what_may_be_left_out(answers: Mapping[str, Any]) -> None:
    (hit, *_), days = answers["Results"]["hits"], answers["Timeline"]["days"]
    assert hit["also_in"]
    assert hit["why"]["dense"]["adds"] > 0
    assert answers["Results"]["period"]["words"] == "in June 2024"
    assert days
    assert answers["Brief"]["days"][0]["citations"]
    assert answers["CitedResults"]["hits"][0]["also_in"]
    assert answers["FullArticle"]["end"] > answers["FullArticle"]["start"]


@pytest.mark.parametrize("name", TYPES)
def test_each_schema_says_what_it_is_and_is_part_of_an_answer(name: str) -> None:
    assert (TYPES[name].__doc__ or "").endswith(".")
    parts = {name for answer in ANSWERS for name in _parts(TypeAdapter(TYPES[answer]).json_schema())}
    assert name in parts | {"NewArticle", "Judged"}


def _parts(schema: dict[str, Any]) -> set[str]:
    return {schema["title"], *schema.get("$defs", {})}


def test_importing_the_schemas_imports_nothing_heavy() -> None:
    code = "import sys, searchsvc.schemas; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"pydantic", "numpy", "fastapi", "httpx"} & {module.partition(".")[0] for module in loaded} == set()
