"""The asynchronous client and its parts."""
