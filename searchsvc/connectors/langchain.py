"""A LangChain retriever: `pip install 'searchsvc[langchain]'`."""

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from searchsvc.connectors.search import ask, metadata
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.text.sanitize import sanitize


class SearchsvcRetriever(BaseRetriever):
    """Finds passages as documents, best first; each `metadata` says whence it is (see `asking.metadata`).

    `library` is a Library, to search in this process, or a Client, to ask a server. The other fields are those of
    `Library.search`, dates as ISO 8601. Operators in a question, such as `source:reuters`, narrow them further.
    """

    library: Library | Client
    limit: int = 10
    per_article: int = 1
    max_tokens: int | None = None
    after: str | None = None
    before: str | None = None
    as_of: str | None = None
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager  # nothing happens on the way that could be told
        answer = ask(
            self.library,
            query,
            limit=self.limit,
            per_article=self.per_article,
            max_tokens=self.max_tokens,
            after=self.after,
            before=self.before,
            as_of=self.as_of,
            sources=self.sources,
            languages=self.languages,
        )
        return [
            Document(
                id=hit["passage"]["id"],
                page_content=sanitize(hit["passage"]["text"]),
                metadata=metadata(hit, answer, self.library),
            )
            for hit in answer["hits"]
        ]
