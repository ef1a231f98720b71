"""The synchronous client and its parts."""
