"""Cursor pages: newest first, stable while new rows arrive."""

import base64
import binascii
from collections.abc import Sequence
from typing import Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from app.http.bodies import invalid

T = TypeVar("T")

DEFAULT_PAGE = 50
MAX_PAGE = 200

# Above every UUIDv7: the place before the first row.
FIRST = UUID(int=2**128 - 1)


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page. `next_cursor` is the `cursor` of the page after it, null on the last."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(rows: Sequence[T], ids: Sequence[UUID], *, limit: int) -> Page[T]:
    """Make a page from up to `limit + 1` rows: one more than it shows says that more follow."""
    more = len(rows) > limit
    return Page(items=rows[:limit], next_cursor=encode_cursor(ids[limit - 1]) if more else None)


def encode_cursor(last: UUID) -> str:
    """Name the place after a row."""
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> UUID:
    """Give the id that the page starts below. Raises InvalidRequest."""
    if cursor is None:
        return FIRST
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise invalid("/cursor", f"{cursor!r} is not one that a page gave") from None
