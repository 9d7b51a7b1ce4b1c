"""searchsvc: semantic search over news text.

from searchsvc import Library

with Library("index") as library:
    for hit in library.search("what does Russia want from North Korea"):
        print(hit.article.title, hit.answer and hit.answer.text)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from searchsvc.errors import (
    BadInput,
    Busy,
    DamagedCatalogue,
    DamagedIndex,
    ModelFailed,
    ModelMismatch,
    NoIndex,
    NotFound,
    SearchsvcError,
    TooLittleMemory,
    Unreadable,
    Unserved,
    Unwritable,
)

if TYPE_CHECKING:
    from searchsvc.interfaces.client import AsyncClient, Client
    from searchsvc.library import Library
    from searchsvc.query import Query
    from searchsvc.search.results import Hit, Results
    from searchsvc.settings import Settings
    from searchsvc.text.article import Article

    __version__: str

__all__ = [
    "Article",
    "AsyncClient",
    "BadInput",
    "Busy",
    "Client",
    "DamagedCatalogue",
    "DamagedIndex",
    "Hit",
    "Library",
    "ModelFailed",
    "ModelMismatch",
    "NoIndex",
    "NotFound",
    "Query",
    "Results",
    "SearchsvcError",
    "Settings",
    "TooLittleMemory",
    "Unreadable",
    "Unserved",
    "Unwritable",
    "__version__",
]

FROM_SOURCE = "0.2.0+source"  # the version of a checkout that is not installed; a test holds it to pyproject.toml

# Imported when they are first used, so that `import searchsvc` stays instant.
_MODULES = {
    "Article": "text.article",
    "AsyncClient": "interfaces.client",
    "Client": "interfaces.client",
    "Hit": "search.results",
    "Library": "library",
    "Query": "query",
    "Results": "search.results",
    "Settings": "settings",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("searchsvc")
        except PackageNotFoundError:
            return FROM_SOURCE
    if name in _MODULES:
        return getattr(import_module(f"searchsvc.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
