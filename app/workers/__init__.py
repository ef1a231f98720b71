"""Workers: the processes that run executions, as registered in the database."""
