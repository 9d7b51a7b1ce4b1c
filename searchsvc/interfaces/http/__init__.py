"""The HTTP API, its pages and its server."""
