"""API keys: created, listed and revoked by operators, verified for every request."""
