"""Lint sources: find by their structure what V8's own check does not report.

Nothing here runs user code. tree-sitter's parser is C code that hostile texts can keep busy, so
it works in a process of its own (`client.py`, `worker.py`).
"""
