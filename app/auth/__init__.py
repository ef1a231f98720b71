"""Callers: who makes a request, what it may do, and how that is checked."""
