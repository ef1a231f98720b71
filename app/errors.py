"""The base of every error that Crivo raises on purpose."""


class CrivoError(Exception):
    """An error with a message for the person who meets it."""
