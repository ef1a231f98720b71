"""Requests to addresses that users choose, protected against request forgery (SSRF)."""
