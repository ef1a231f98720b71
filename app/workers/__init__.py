"""Workers: the processes that run executions, as the database sees them."""
