"""Crivo: versioned JavaScript preprocessing scripts, run safely over JSON data."""
