"""Quotas: how much a tenant may use, and how fast."""
