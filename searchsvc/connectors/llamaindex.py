"""A LlamaIndex retriever: `pip install 'searchsvc[llamaindex]'`."""

import asyncio

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from searchsvc.connectors.search import ask, metadata
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.schemas import Hit
from searchsvc.text.sanitize import sanitize

SHOWN = frozenset({"title", "date", "source", "link"})  # to a model, above the text


class SearchsvcRetriever(BaseRetriever):
    """Finds passages as nodes, best first; each `metadata` says whence it is (see `asking.metadata`)."""

    def __init__(
        self,
        library: Library | Client,
        *,
        limit: int = 10,
        per_article: int = 1,
        max_tokens: int | None = None,
        after: str | None = None,
        before: str | None = None,
        as_of: str | None = None,
        sources: tuple[str, ...] = (),
        languages: tuple[str, ...] = (),
    ) -> None:
        """Search in a Library in this process, or ask a server through a Client.

        The rest is as in `Library.search`, dates as ISO 8601. Operators in a question, such as `source:reuters`,
        narrow it further.
        """
        super().__init__()
        self.library = library
        self.limit = limit
        self.per_article = per_article
        self.max_tokens = max_tokens
        self.after = after
        self.before = before
        self.as_of = as_of
        self.sources = sources
        self.languages = languages

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = ask(
            self.library,
            query_bundle.query_str,
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
            NodeWithScore(node=_node(hit, metadata(hit, answer, self.library)), score=hit["score"])
            for hit in answer["hits"]
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)  # LlamaIndex's own would hold up the event loop


def _node(hit: Hit, known: dict[str, object]) -> TextNode:
    hidden = sorted(known.keys() - SHOWN - ({"origin"} if known["origin"] else set()))
    return TextNode(
        id_=hit["passage"]["id"],
        text=sanitize(hit["passage"]["text"]),
        start_char_idx=hit["passage"]["start"],
        end_char_idx=hit["passage"]["end"],
        metadata=known,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit["article"]["id"])},
    )
