"""Run what is queued: claim, execute, record, rescue."""
