"""Run scripts over whole datasets, in parts that are executions."""
