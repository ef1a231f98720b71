"""Serve HTTP: problems, bodies, negotiation, authorization of requests."""
