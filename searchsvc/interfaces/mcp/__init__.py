"""MCP: the library as tools of a chat, over stdio and over HTTP.

a client ── transports ──► server: a tool, a resource, a prompt ── LibraryCalls ── library ──► citations ──► JSON
"""
