"""Transactions of PostgreSQL that end before their connection is released."""

from typing import Literal, TypeAlias

from anyio import CancelScope
from asyncpg.transaction import Transaction
from typing_extensions import override

Isolation: TypeAlias = Literal[
    "read_committed", "read_uncommitted", "serializable", "repeatable_read"
]


class EndingTransaction(Transaction):
    """A transaction that commits or rolls back whatever is cancelled meanwhile.

    Litestar sends streams in a scope of anyio's. When the client is gone, the scope cancels each
    further await: the ROLLBACK too, so that asyncpg would find the transaction open, and log an
    error.
    """

    @override
    async def __aexit__(self, extype: object, ex: object, tb: object) -> None:
        """End the transaction."""
        with CancelScope(shield=True):
            await super().__aexit__(extype, ex, tb)
