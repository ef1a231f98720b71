"""Tenants: the owners of scripts, executions and keys."""
