"""Comparisons: run two versions of a script over recorded inputs and report what differs."""
