"""Executions: one run of one version over one input, and its receipt."""
