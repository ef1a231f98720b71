"""Callers: their scopes, their authentication, and the re-check of their access."""
