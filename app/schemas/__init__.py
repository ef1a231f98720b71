"""Schemas: JSON Schemas with immutable versions, and what is checked against them."""
