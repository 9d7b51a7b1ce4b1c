"""The interfaces: command line, HTTP, MCP and client. Each translates between people or programs and the library."""
