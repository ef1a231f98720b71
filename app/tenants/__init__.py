"""Tenants: whom everything belongs to."""
