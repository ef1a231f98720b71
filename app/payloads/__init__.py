"""Payloads: receive, store, serve, retain and erase bytes for other packages."""
