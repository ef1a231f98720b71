"""Scrapes: what Prometheus reads of a process."""
