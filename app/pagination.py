"""Cursor pages: newest first, stable while new rows arrive."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from app.errors import InvalidRequest, invalid_parameter

T = TypeVar("T")

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200

# Above every UUIDv7: the place before the first row.
FIRST: Final = UUID(int=2**128 - 1)

_DIGEST_BYTES: Final = 6


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page. `next_cursor` is the `cursor` of the page after it, null on the last."""

    items: Sequence[T]
    next_cursor: str | None


class PageChoices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list is wanted."""

    cursor: Annotated[str, Meta(description="`next_cursor` of the page before")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="items on a page")] = DEFAULT_PAGE


class Listing:
    """A list with its filters: its cursors name a place in it, and in no other."""

    def __init__(self, name: str, *filters: object) -> None:
        """Take what tells it from others; filters are data that JSON can hold."""
        said = msgspec.json.encode([name, *filters])
        self._digest = hashlib.sha256(said).digest()[:_DIGEST_BYTES]

    def cursor(self, place: bytes) -> str:
        """Name the place after a row."""
        return base64.urlsafe_b64encode(self._digest + place).rstrip(b"=").decode()

    def place(self, cursor: str) -> bytes:
        """Give the place that a cursor names. Raises InvalidRequest."""
        padded = cursor + "=" * (-len(cursor) % 4)
        try:
            named = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise not_a_cursor(cursor) from None
        if len(named) <= _DIGEST_BYTES:
            raise not_a_cursor(cursor)
        if not named.startswith(self._digest):
            raise invalid_parameter(
                "cursor",
                "belongs to another list, or to this one with other filters; ask for the first "
                "page without a cursor",
            )
        return named[_DIGEST_BYTES:]

    def below(self, cursor: str | None) -> UUID:
        """Give the id that a page starts below. Raises InvalidRequest."""
        if cursor is None:
            return FIRST
        try:
            return UUID(bytes=self.place(cursor))
        except ValueError:
            raise not_a_cursor(cursor) from None

    def page(self, rows: Sequence[T], ids: Sequence[UUID], *, limit: int) -> Page[T]:
        """Make a page from up to `limit + 1` rows: one more than it shows says more follow."""
        more = len(rows) > limit
        cursor = self.cursor(ids[limit - 1].bytes) if more else None
        return Page(items=rows[:limit], next_cursor=cursor)


def not_a_cursor(cursor: str) -> InvalidRequest:
    """Refuse a text that no page has given."""
    short = cursor if len(cursor) <= 60 else f"{cursor[:60]}…"  # noqa: PLR2004 - for reading
    return invalid_parameter("cursor", f"{short!r} is not one that a page gave")
