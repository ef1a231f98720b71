"""Claim queued executions, run them and record what came of them."""
