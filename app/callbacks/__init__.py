"""Callbacks: signed requests that report the ends of executions."""
