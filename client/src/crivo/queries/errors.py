"""Name what is wrong with a query; DuckDB is not needed for it."""

from crivo.errors import CrivoError


class QueryRefused(CrivoError):
    """The SQL is wrong, names a table that there is not, or does more than read."""


class QueryFailed(CrivoError):
    """The SQL cannot be carried out over the data."""
