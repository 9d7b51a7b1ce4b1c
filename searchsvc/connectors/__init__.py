"""Connectors: searchsvc in the tools of others; thin, over a `Library` or a `Client`, each an extra of its own."""
