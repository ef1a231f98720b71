"""Share what executions, batches, runs and other long work have in common: waits, lists, expiry."""
