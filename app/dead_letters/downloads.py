"""Write dead letters as NDJSON, the oldest first, in constant memory.

A connection of the pool is held while a page is read, never while a client reads it.
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from app.db import Connection
from app.dead_letters.filters import LetterConditions, resolve_conditions
from app.dead_letters.letter_store import FoundLetter, select_letters
from app.dead_letters.model import LetterFilter
from app.dead_letters.problems import event_with_line_feed
from app.dead_letters.scanning import OLDEST, Window, scan_all, scan_window
from app.dead_letters.service import is_embeddable
from app.resources import Resources

_PAGE_LETTERS: Final = 200
_PAGE_BYTES: Final = 512 * 1024
_LINE_FEED: Final = b"\n"


async def write_events(
    resources: Resources, tenant: UUID, conditions: LetterConditions, *, after: UUID = OLDEST
) -> AsyncGenerator[bytes, None]:
    """Yield the events that are not erased, byte for byte, each ended by LF.

    Raises EventWithLineFeed before the first line if an event that matches has one, and later if
    such an event has come meanwhile, which breaks the response off: a line is never cut.
    """
    async with resources.pool.acquire() as conn:
        wanted = replace(await resolve_conditions(conn, tenant, conditions), kept_only=True)
        await _require_lines(conn, tenant, wanted, after=after)
    async for page in _pages(resources, tenant, wanted, after=after):
        yield b"".join(map(_event_line, page))


async def write_letters(
    resources: Resources, tenant: UUID, conditions: LetterConditions, *, after: UUID = OLDEST
) -> AsyncGenerator[bytes, None]:
    """Yield a line for each letter, as `GET /dead-letters/{letter}` shows it.

    An event that has a line feed is in base64, whether or not it is JSON.
    """
    async with resources.pool.acquire() as conn:
        wanted = await resolve_conditions(conn, tenant, conditions)
    async for page in _pages(resources, tenant, wanted, after=after):
        yield b"".join(map(_letter_line, page))


async def _require_lines(
    conn: Connection, tenant: UUID, wanted: LetterFilter, *, after: UUID
) -> None:
    several = replace(wanted, has_line_feed=True)
    async for window in scan_all(conn, tenant, several, after=after, limit=1):
        if window.ids:
            raise event_with_line_feed(window.ids[0])


async def _pages(
    resources: Resources, tenant: UUID, wanted: LetterFilter, *, after: UUID
) -> AsyncIterator[list[FoundLetter]]:
    position: UUID | None = after
    while position is not None:
        async with resources.pool.acquire() as conn:
            window = await scan_window(conn, tenant, wanted, position=position, limit=_PAGE_LETTERS)
            ids = _page_of(window)
            page = await select_letters(conn, tenant, ids, with_events=True)
        if page:
            yield page
        position = ids[-1] if len(ids) < len(window.ids) else window.next_position


def _page_of(window: Window) -> list[UUID]:
    """Return as many of a window's letters as a page holds: one at least."""
    ids: list[UUID] = []
    size = 0
    for each, event_bytes in zip(window.ids, window.sizes, strict=True):
        size += event_bytes
        if ids and size > _PAGE_BYTES:
            break
        ids.append(each)
    return ids


def _event_line(found: FoundLetter) -> bytes:
    # Erased since its id was found.
    if found.event is None:
        return b""
    if _LINE_FEED in found.event:
        raise event_with_line_feed(found.letter.id)
    return found.event + _LINE_FEED


def _letter_line(found: FoundLetter) -> bytes:
    opening = msgspec.json.encode(found.letter)[:-1]
    event = found.event
    if event is None:
        return opening + b"}\n"
    if _LINE_FEED not in event and is_embeddable(event):
        return opening + b',"event":' + event + b"}\n"
    return opening + b',"event_base64":"' + b64encode(event) + b'"}\n'
