"""Commands of the server package: administration, the demo, and trials without a server."""
