"""A LangChain retriever: `pip install 'searchsvc[langchain]'`."""

from collections.abc import Mapping
from typing import Any, Unpack, cast

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from searchsvc.connectors.citations import metadata
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.query import Query, QueryOptions
from searchsvc.text.sanitize import sanitize


class SearchsvcRetriever(BaseRetriever):
    """Finds passages as documents, best first; each `metadata` says whence it is (see `citations.metadata`).

    `library` is a Library, to search in this process, or a Client, to ask a server. The options are those of
    `Library.search`; `k` is LangChain's name for `limit`, and goes before it when given to `invoke`. Operators in a
    question, such as `source:reuters`, narrow them further.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    library: Library | Client
    options: dict[str, Any] = Field(default_factory=dict)

    def __init__(
        self,
        library: Library | Client,
        *,
        k: int | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Unpack[QueryOptions],
    ) -> None:
        """Refuse unknown options with TypeError, and values that cannot be used with BadInput."""
        Query("?", **_with_limit(options, k))  # which refuses what no question could be asked with
        super().__init__(library=library, options=_with_limit(options, k), tags=tags, metadata=metadata)  # type: ignore[call-arg]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        del run_manager  # nothing happens on the way that could be reported
        results = self.library.search(query, **_with_limit(self.options, k))
        return [
            Document(
                id=hit.passage.id,
                page_content=sanitize(hit.passage.text),
                metadata=metadata(hit, results, self.library),
            )
            for hit in results
        ]


def _with_limit(options: Mapping[str, object], k: int | None) -> QueryOptions:
    return cast(QueryOptions, dict(options) if k is None else {**options, "limit": k})
