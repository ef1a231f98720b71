"""Commands that speak to a running Crivo over HTTP only."""
