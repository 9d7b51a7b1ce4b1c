"""A LlamaIndex retriever: `pip install 'searchsvc[llamaindex]'`."""

import asyncio
from typing import Unpack

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from searchsvc.connectors.citations import metadata
from searchsvc.interfaces.client import Client
from searchsvc.library import Library
from searchsvc.query import Query, QueryOptions
from searchsvc.search.results import Hit
from searchsvc.text.sanitize import sanitize

SHOWN = frozenset({"title", "date", "source", "link"})  # to a model, above the text


class SearchsvcRetriever(BaseRetriever):
    """Finds passages as nodes, best first; each `metadata` says whence it is (see `citations.metadata`)."""

    def __init__(self, library: Library | Client, **options: Unpack[QueryOptions]) -> None:
        """Search in a Library in this process, or ask a server through a Client.

        The options are those of `Library.search`. Operators in a question, such as `source:reuters`, narrow them
        further. Raises TypeError for an unknown option, BadInput for a value that cannot be used.
        """
        super().__init__()
        Query("?", **options)  # which refuses what no question could be asked with
        self.library = library
        self.options = options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        results = self.library.search(query_bundle.query_str, **self.options)
        return [
            NodeWithScore(node=_node(hit, metadata(hit, results, self.library)), score=round(hit.score, 4))
            for hit in results
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)  # LlamaIndex's own would hold up the event loop


def _node(hit: Hit, known: dict[str, object]) -> TextNode:
    hidden = sorted(known.keys() - SHOWN - ({"origin"} if known["origin"] else set()))
    return TextNode(
        id_=hit.passage.id,
        text=sanitize(hit.passage.text),
        start_char_idx=hit.passage.start,
        end_char_idx=hit.passage.end,
        metadata=known,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.article.id)},
    )
