"""Engines: where the parts of runs are run."""
