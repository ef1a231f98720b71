"""Paginate lists by cursors: newest first, stable while rows are added."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from app.errors import InvalidRequest, clipped, invalid_parameter

T = TypeVar("T")

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200

# Above every UUIDv7: the position before the first row.
FIRST: Final = UUID(int=2**128 - 1)

_DIGEST_BYTES: Final = 6
# PostgreSQL's integer.
_MAX_NUMBER: Final = 2**31 - 1

# The first 48 bits of a UUIDv7 are ms since 1970.
_LAST_ID_MS: Final = 2**48 - 1
_CLOCKS_DISAGREE_MS: Final = 3_600_000


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page. `next_cursor` is the `cursor` of the next page, null on the last."""

    items: Sequence[T]
    next_cursor: str | None


Cursor = Annotated[str, Meta(description="`next_cursor` of the previous page")]
PageLimit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="items per page")]


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select a page of a list."""

    cursor: Cursor | UnsetType = UNSET
    limit: PageLimit = DEFAULT_PAGE


class Paginator:
    """Creates and reads the cursors of one list with its filters.

    A cursor is valid for the list and filters that it was created for, and for no others.
    """

    def __init__(self, name: str, *filters: object) -> None:
        """Take the list's name and its filters, which must be serialisable as JSON."""
        identity = msgspec.json.encode([name, *filters])
        self._digest = hashlib.sha256(identity).digest()[:_DIGEST_BYTES]

    def cursor(self, position: bytes) -> str:
        """Encode the position after a row."""
        return base64.urlsafe_b64encode(self._digest + position).rstrip(b"=").decode()

    def position(self, cursor: str) -> bytes:
        """Decode a cursor's position. Raises InvalidRequest."""
        padded = cursor + "=" * (-len(cursor) % 4)
        try:
            decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise invalid_cursor(cursor) from None
        if len(decoded) <= _DIGEST_BYTES:
            raise invalid_cursor(cursor)
        if not decoded.startswith(self._digest):
            raise invalid_parameter(
                "cursor",
                "belongs to another list, or to this one with other filters; omit it to get the "
                "first page",
            )
        return decoded[_DIGEST_BYTES:]

    def below(self, cursor: str | None) -> UUID:
        """Return the id below which a page starts. Raises InvalidRequest."""
        if cursor is None:
            return FIRST
        try:
            return UUID(bytes=self.position(cursor))
        except ValueError:
            raise invalid_cursor(cursor) from None

    def page(self, rows: Sequence[T], ids: Sequence[UUID], *, limit: int) -> Page[T]:
        """Return a page of up to `limit + 1` rows; the extra row means that more follow."""
        return self.page_by_position(rows, [each.bytes for each in ids], limit=limit)

    def below_number(self, cursor: str | None) -> int:
        """Return the number below which a page starts, newest first. Raises InvalidRequest."""
        if cursor is None:
            return _MAX_NUMBER
        return min(int.from_bytes(self.position(cursor), "big"), _MAX_NUMBER)

    def page_by_number(self, rows: Sequence[T], numbers: Sequence[int], *, limit: int) -> Page[T]:
        """Return a page of up to `limit + 1` rows; the extra row means that more follow."""
        positions = [each.to_bytes(4, "big") for each in numbers]
        return self.page_by_position(rows, positions, limit=limit)

    def after(self, cursor: str | None) -> str:
        """Return the name after which a page starts, in a list by name. Raises InvalidRequest."""
        if cursor is None:
            return ""
        try:
            name = self.position(cursor).decode()
        except UnicodeDecodeError:
            raise invalid_cursor(cursor) from None
        if "\0" in name:
            raise invalid_cursor(cursor)
        return name

    def page_by_name(self, rows: Sequence[T], names: Sequence[str], *, limit: int) -> Page[T]:
        """Return a page of up to `limit + 1` rows; the extra row means that more follow."""
        return self.page_by_position(rows, [each.encode() for each in names], limit=limit)

    def page_by_position(
        self, rows: Sequence[T], positions: Sequence[bytes], *, limit: int
    ) -> Page[T]:
        """Return a page of up to `limit + 1` rows; the extra row means that more follow."""
        cursor = self.cursor(positions[limit - 1]) if len(rows) > limit else None
        return Page(items=rows[:limit], next_cursor=cursor)


def invalid_cursor(cursor: str) -> InvalidRequest:
    """Return the error for a cursor that no page contained."""
    return invalid_parameter("cursor", f"{clipped(cursor)!r} is not the `next_cursor` of a page")


def ids_between(
    created_from: datetime | None, created_before: datetime | None
) -> tuple[UUID, UUID]:
    """Bound the UUIDv7 of rows between two moments, so that an index finds them.

    An id holds the time of the process that drew it, `created_at` is PostgreSQL's: the bounds
    allow for clocks that disagree, and a condition on `created_at` decides.
    """
    first_ms, last_ms = 0.0, float(_LAST_ID_MS)
    if created_from is not None:
        first_ms = created_from.timestamp() * 1_000 - _CLOCKS_DISAGREE_MS
    if created_before is not None:
        last_ms = created_before.timestamp() * 1_000 + _CLOCKS_DISAGREE_MS
    low, high = (min(max(int(ms), 0), _LAST_ID_MS) for ms in (first_ms, last_ms))
    return UUID(int=low << 80), UUID(int=(high << 80) | (2**80 - 1))
