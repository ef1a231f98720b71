"""The audit log: an append-only record of changes."""
