"""Requests to addresses that users choose, which cannot be turned inwards."""
