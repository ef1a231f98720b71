"""Claim queued executions, run them and record their outcomes."""
