"""The OpenAPI document: valid, and true of a running server whatever is sent to it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from searchsvc.library import Library
from searchsvc.settings import Settings

Serving = Callable[[Library], AbstractContextManager[httpx.Client]]
# Not `positive_data_acceptance`: a date that cannot be read, or a period that ends before it begins, fits the schema.
# Nor `negative_data_rejection`: 0 for false, and numbers written as text, are understood too.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.fixture(scope="module")
def client(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    library = Library(Settings(index=tmp_path_factory.mktemp("document") / "index"))
    with serving(library) as client:
        grain = {"title": "Grain talks resume", "text": "Ministers met in Geneva on Monday.", "published": "2024-06-18"}
        assert client.post("/articles", json=grain).status_code == 200
        yield client


def test_the_document_is_valid_and_belongs_to_no_server(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert "servers" not in document


def test_each_operation_says_what_it_answers_with(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    answers = {
        operation["operationId"]: operation["responses"]["200"]["content"]["application/json"]["schema"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "200" in operation["responses"]
    }
    both = [{"$ref": "#/components/schemas/Results"}, {"items": {"$ref": "#/components/schemas/AnthropicResult"}}]
    assert [one.get("$ref") or one["items"] for one in answers["search"]["anyOf"]] == [
        both[0]["$ref"],
        both[1]["items"],
    ]
    assert answers["get_article"] == {"$ref": "#/components/schemas/FullArticle"}
    assert answers["websearch"]["items"] == {"$ref": "#/components/schemas/WebResult"}
    assert not [name for name, schema in answers.items() if schema == {"type": "string"}]


def test_what_may_be_left_out_of_a_body_may_be_null(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    properties = schemas["SearchRequest"]["properties"]
    assert properties["q"]["type"] == "string"
    assert properties["limit"]["anyOf"] == [{"type": "integer", "maximum": 100, "minimum": 1}, {"type": "null"}]
    assert properties["format"]["anyOf"] == [{"type": "string", "enum": ["json", "anthropic"]}, {"type": "null"}]
    assert [name for name, schema in properties.items() if {"type": "null"} not in schema.get("anyOf", [])] == ["q"]
    nothing = dict.fromkeys(properties) | {"q": "grain talks"}
    assert client.post("/search", json=nothing).json()["hits"][0]["article"]["title"] == "Grain talks resume"


def test_what_the_document_says_is_true_whatever_is_sent(client: httpx.Client, tmp_path: Path) -> None:
    command = (
        *(Path(sys.executable).with_name("schemathesis"), "run", client.base_url.join("/openapi.json")),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--generation-deterministic"),
        *("--checks", ",".join(CHECKS), "--no-color"),
    )
    ran = subprocess.run(
        list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stdout
    assert client.get("/healthz").json() == {"alive": True}
