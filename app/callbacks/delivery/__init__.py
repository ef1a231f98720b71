"""Deliver callbacks: claim those that are due, send them, record the answers."""
