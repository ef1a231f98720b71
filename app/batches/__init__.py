"""Batches: many inputs of one upload, each an execution of its own."""
