"""Recognise results that the database refuses over a quota of stored bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from app.errors import CrivoError

# Raised by migrations/sql/hold_quota_of_bytes.sql.
_OVER_QUOTA: Final = "CR507"


class StoredBytesExceeded(CrivoError):
    """A result or a console would take its tenant over its quota of stored bytes."""

    def __init__(self, limit: int, used: int) -> None:
        """Take the quota and the bytes in use."""
        super().__init__(f"{used} of {limit} bytes are used")
        self.limit = limit
        self.used = used


@contextmanager
def quota_errors() -> Iterator[None]:
    """Raise StoredBytesExceeded where the database refuses a result over a quota."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate != _OVER_QUOTA:
            raise
        raise msgspec.json.decode(error.detail or "", type=_Refusal).exceeded() from None


class _Refusal(Struct, frozen=True):
    limit: int
    used: int

    def exceeded(self) -> StoredBytesExceeded:
        return StoredBytesExceeded(self.limit, self.used)
