"""Pipes: events from a source through a schema and a script to a sink."""
