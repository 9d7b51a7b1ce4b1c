"""searchsvc: semantic search over news text.

from searchsvc import Library
library = Library()
for hit in library.search("what does Russia want from North Korea").hits:
    print(hit.article.title, hit.answer_text)
"""

from typing import TYPE_CHECKING

from searchsvc.errors import SearchsvcError
from searchsvc.settings import Settings

if TYPE_CHECKING:
    from searchsvc.interfaces.client import Client
    from searchsvc.library import Library

__all__ = ["Client", "Library", "SearchsvcError", "Settings"]


def __getattr__(name: str) -> object:
    # Late, so that `import searchsvc` stays instant.
    if name == "Library":
        from searchsvc.library import Library

        return Library
    if name == "Client":
        from searchsvc.interfaces.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
