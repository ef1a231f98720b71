"""Exports: a snapshot of a dataset as Parquet, deduplicated and partitioned."""
