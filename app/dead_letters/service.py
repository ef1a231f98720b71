"""List, show and erase dead letters."""

from base64 import b64encode
from typing import Final
from uuid import UUID

from msgspec import Raw, to_builtins
from msgspec.structs import asdict, replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets.parts.json_text import InvalidJson, require_json, require_shallow
from app.dead_letters import letter_store
from app.dead_letters.filters import LetterConditions, find_pipe, resolve_conditions
from app.dead_letters.letter_store import ErasedEvent
from app.dead_letters.model import (
    DeadLetter,
    DeadLetterWithEvent,
    ErasedLetters,
    LetterCounts,
)
from app.dead_letters.problems import event_erased, letter_not_found
from app.dead_letters.scanning import scan_all, scan_window
from app.errors import invalid
from app.pagination import Page, Paginator
from app.payloads.model import StoredPayload
from app.references import is_uuid
from app.resources import Resources

# What one request reads at most: some 100,000 letters.
_MAX_WINDOWS: Final = 10
# What one transaction erases at most: a second or two of work.
MAX_ERASED: Final = 10_000
# What JSON allows around a value.
_BLANKS: Final = b" \t\r\n"


async def list_letters(
    resources: Resources,
    tenant: UUID,
    conditions: LetterConditions,
    *,
    cursor: str | None,
    limit: int,
) -> Page[DeadLetter]:
    """Return a page of letters, newest first, without their events.

    A page can be short, or empty, while there is a next one: a request reads so many letters, and
    few of them may match. Raises what `resolve_conditions` raises, and InvalidRequest.
    """
    paginator = Paginator("dead-letters", conditions)
    position: UUID | None = paginator.below(cursor)
    ids: list[UUID] = []
    async with resources.pool.acquire() as conn:
        wanted = await resolve_conditions(conn, tenant, conditions)
        for _ in range(_MAX_WINDOWS):
            if position is None or len(ids) > limit:
                break
            window = await scan_window(
                conn,
                tenant,
                wanted,
                position=position,
                limit=limit + 1 - len(ids),
                newest_first=True,
            )
            ids += window.ids
            position = window.next_position
        if len(ids) > limit:
            ids = ids[:limit]
            position = ids[-1]
        found = await letter_store.select_letters(conn, tenant, ids)
    following = None if position is None else paginator.cursor(position.bytes)
    return Page(items=[each.letter for each in found], next_cursor=following)


async def show_letter(resources: Resources, tenant: UUID, letter: str) -> DeadLetterWithEvent:
    """Return a letter with its event. Raises DeadLetterNotFound."""
    letter_id = parse_letter_id(letter)
    async with resources.pool.acquire() as conn:
        found = await letter_store.select_letters(conn, tenant, [letter_id], with_events=True)
    if not found:
        raise letter_not_found(letter_id)
    members = asdict(found[0].letter)
    event = found[0].event
    if event is None:
        return DeadLetterWithEvent(**members)
    if is_embeddable(event):
        return DeadLetterWithEvent(**members, event=Raw(event))
    return DeadLetterWithEvent(**members, event_base64=b64encode(event).decode())


async def find_event(resources: Resources, tenant: UUID, letter: str) -> StoredPayload:
    """Return the bytes of a letter's event. Raises DeadLetterNotFound, EventErased."""
    letter_id = parse_letter_id(letter)
    async with resources.pool.acquire() as conn:
        found = await letter_store.select_event(conn, tenant, letter_id)
    if found is None:
        raise letter_not_found(letter_id)
    if isinstance(found, ErasedEvent):
        raise event_erased(found.erased_at)
    return found


async def count_letters(resources: Resources, tenant: UUID, pipe: str | None) -> LetterCounts:
    """Count letters by pipe and kind. Raises InvalidRequest for an unknown pipe."""
    async with resources.pool.acquire() as conn:
        pipe_id = None if pipe is None else await find_pipe(conn, tenant, pipe)
        return LetterCounts(items=await letter_store.select_counts(conn, tenant, pipe_id))


async def erase_letter(resources: Resources, caller: Caller, letter: str) -> None:
    """Erase the event and the reason of a letter; again changes nothing.

    Raises DeadLetterNotFound.
    """
    letter_id = parse_letter_id(letter)
    async with resources.pool.acquire() as conn, conn.transaction():
        if await letter_store.select_event(conn, caller.tenant, letter_id) is None:
            raise letter_not_found(letter_id)
        if await letter_store.erase_events(conn, caller.tenant, [letter_id]):
            target = f"/dead-letters/{letter_id}"
            await log_action(conn, caller, Action.LETTER_ERASED, target)
            await reauthorize_before_commit(caller)


async def erase_letters(
    resources: Resources, caller: Caller, conditions: LetterConditions
) -> ErasedLetters:
    """Erase the events of the oldest letters that match, up to `MAX_ERASED` in one transaction.

    Raises InvalidRequest without conditions, and what `resolve_conditions` raises.
    """
    if conditions.is_empty:
        raise invalid("", "needs a condition, such as `pipe`; without one every letter would match")
    async with resources.pool.acquire() as conn, conn.transaction():
        wanted = await resolve_conditions(conn, caller.tenant, conditions)
        wanted = replace(wanted, kept_only=True)
        ids: list[UUID] = []
        async for window in scan_all(conn, caller.tenant, wanted, limit=MAX_ERASED + 1):
            ids += window.ids
            if len(ids) > MAX_ERASED:
                break
        complete = len(ids) <= MAX_ERASED
        erased = await letter_store.erase_events(conn, caller.tenant, ids[:MAX_ERASED])
        if erased:
            details = {"filter": to_builtins(conditions), "erased": erased}
            action = Action.LETTERS_ERASED
            await log_action(conn, caller, action, "/dead-letters", details=details)
            await reauthorize_before_commit(caller)
    return ErasedLetters(erased=erased, complete=complete)


def parse_letter_id(text: str) -> UUID:
    """Parse the id of a dead letter. Raises DeadLetterNotFound for any other text."""
    if not is_uuid(text):
        raise letter_not_found(repr(text))
    return UUID(text)


def is_embeddable(event: bytes) -> bool:
    """Return whether bytes can be a value of a JSON document and come out of it as they are.

    They are JSON in UTF-8 that any parser takes, without blanks around it, which a parser drops.
    """
    if event != event.strip(_BLANKS):
        return False
    try:
        event.decode()
        require_json(event)
        require_shallow(event)
    except (UnicodeDecodeError, InvalidJson):
        return False
    return True
