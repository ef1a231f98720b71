"""Metrics of each process in Prometheus' text format."""
