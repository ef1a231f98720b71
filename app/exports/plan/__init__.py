"""Plan an export, and run its tasks: DuckDB in a process of its own."""
