"""Replays by filter: run many recorded executions again, as a batch."""
