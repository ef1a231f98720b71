"""Datasets: named, immutable snapshots of files, and records found by their keys."""
