"""Tenants as data."""

from uuid import UUID

# Made by the first migration: everything belongs to it until an operator adds others.
DEFAULT_TENANT = UUID("00000000-0000-7000-8000-000000000001")
