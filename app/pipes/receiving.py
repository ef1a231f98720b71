"""Take events over HTTP: cut a body into rows of whole events, and store them in an inbox."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Struct

from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets.upload_store import require_room
from app.errors import invalid
from app.idempotency.model import Repeated, RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.limits import MAX_EVENTS_BYTES, MIB
from app.pipes import inbox_store
from app.pipes.inbox_store import AddressedPipe, NewRow
from app.pipes.model import MAX_EVENT_BYTES, AcceptedEvents
from app.pipes.problems import EventTooLarge, InboxFull, PipeTakesNoEvents, pipe_not_found
from app.quotas.model import effective_caps
from app.resources import Resources

_ROW_BYTES: Final = MIB
_SPACE: Final = b" \t\r\n"
_RETRY_SECONDS: Final = 2


class Received(Struct, frozen=True, kw_only=True):
    """The events of one request, as rows; `digest` is the SHA-256 of its body.

    `by_lines`: each line of the body is an event; otherwise the body is one.
    """

    rows: Sequence[NewRow]
    digest: str
    by_lines: bool


async def receive_one(chunks: AsyncIterator[bytes]) -> Received:
    """Read a body that is one event, without blanks around it.

    Raises EventTooLarge, InvalidRequest, and what the body raises.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"the event has more than {MAX_EVENT_BYTES} bytes")
    # A file ends with a line break, which is no part of the event.
    event = bytes(body.strip(_SPACE))
    if not event:
        raise invalid("", "the body is empty")
    row = NewRow(events=1, body=event)
    return Received(rows=[row], digest=hashlib.sha256(body).hexdigest(), by_lines=False)


async def receive_lines(chunks: AsyncIterator[bytes]) -> Received:
    """Read a body whose lines are events, without the blank ones.

    Raises EventTooLarge, InvalidRequest without any event, and what the body raises.
    """
    cutter = _Cutter()
    async for chunk in chunks:
        cutter.feed(chunk)
    return cutter.end()


async def require_inbox(
    resources: Resources, caller: Caller, name: str, *, announced_bytes: int
) -> None:
    """Refuse events before they are read, if they would be refused afterwards.

    Raises PipeNotFound, PipeTakesNoEvents, InboxFull.
    """
    async with resources.pool.acquire() as conn:
        _require_taking(await inbox_store.find_addressed_pipe(conn, caller.tenant, name), name)
        use = await inbox_store.select_inbox_use(conn, caller.tenant)
    # A larger body is refused as such.
    size_bytes = min(announced_bytes, MAX_EVENTS_BYTES)
    _require_space(resources, use, events=1, size_bytes=size_bytes)


async def accept(
    resources: Resources,
    caller: Caller,
    name: str,
    received: Received,
    *,
    key: RequestKey | None,
    event_id: str | None,
) -> tuple[AcceptedEvents, bool]:
    """Store events in the inbox of a pipe; on return they are committed.

    Returns what was accepted, and whether an earlier request with the same key has done so. Raises
    PipeNotFound, PipeTakesNoEvents, InboxFull, QuotaExceeded, IdempotencyKeyReused,
    RequestInProgress.
    """
    tenant = caller.tenant
    events = sum(each.events for each in received.rows)
    size_bytes = sum(len(each.body) for each in received.rows)
    caps = effective_caps(resources.settings, caller.caps)
    try:
        async with resources.pool.acquire() as conn, conn.transaction():
            pipe = _require_taking(await inbox_store.share_addressed_pipe(conn, tenant, name), name)
            # What another pipe of this name has stored went with it.
            request_key = key_for(key, pipe.id, received.by_lines, received.digest, event_id)
            await require_new(conn, tenant, request_key)
            use = await inbox_store.select_inbox_use(conn, tenant)
            _require_space(resources, use, events=events, size_bytes=size_bytes)
            await require_room(conn, tenant, caps, stored_bytes=size_bytes, raw_bytes=size_bytes)
            ids = await inbox_store.insert_events(conn, tenant, pipe.id, received.rows, event_id)
            first = event_id or f"http:{ids[0]}:1"
            last = event_id or f"http:{ids[-1]}:{received.rows[-1].events}"
            hours = resources.settings.idempotency_hours
            await remember(conn, tenant, request_key, f"{events} {first} {last}", hours=hours)
            await reauthorize_before_commit(caller)
    except Repeated as earlier:
        number, first, last = earlier.resource.split(" ")
        return AcceptedEvents(accepted=int(number), first=first, last=last), True
    return AcceptedEvents(accepted=events, first=first, last=last), False


class _Cutter:
    """Cuts a body into rows of whole lines."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._rest = bytearray()
        self._rows: list[NewRow] = []
        self._lines: list[bytes] = []
        self._size = 0
        self._number = 0

    def feed(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        searched = len(self._rest)
        self._rest += chunk
        end = self._rest.rfind(b"\n", searched) + 1
        if end:
            whole = bytes(self._rest[: end - 1])
            del self._rest[:end]
            for line in whole.split(b"\n"):
                self._add(line.removesuffix(b"\r"))
        if len(self._rest) > MAX_EVENT_BYTES + 1:
            raise self._too_large(self._number + 1)

    def end(self) -> Received:
        if self._rest:
            self._add(bytes(self._rest))
        self._end_row()
        if not self._rows:
            raise invalid("", "the body has no event; each is a line of JSON")
        return Received(rows=self._rows, digest=self._digest.hexdigest(), by_lines=True)

    def _add(self, line: bytes) -> None:
        self._number += 1
        if len(line) > MAX_EVENT_BYTES:
            raise self._too_large(self._number)
        if not line.strip(_SPACE):
            return
        if self._size + len(line) > _ROW_BYTES:
            self._end_row()
        self._lines.append(line)
        self._size += len(line) + 1

    def _end_row(self) -> None:
        if self._lines:
            self._rows.append(NewRow(events=len(self._lines), body=b"\n".join(self._lines)))
            self._lines, self._size = [], 0

    @staticmethod
    def _too_large(number: int) -> EventTooLarge:
        return EventTooLarge(f"line {number} has more than {MAX_EVENT_BYTES} bytes")


def _require_space(
    resources: Resources, use: inbox_store.InboxUse, *, events: int, size_bytes: int
) -> None:
    """Hold the inboxes of a tenant to their bounds. Raises InboxFull."""
    settings = resources.settings
    for unit, used, more, limit in (
        ("events", use.events, events, settings.max_pipe_inbox_events),
        ("bytes", use.bytes, size_bytes, settings.max_pipe_inbox_bytes),
    ):
        if used + more > limit:
            raise InboxFull(
                f"{used} {unit} of events wait in the tenant's pipes, and {limit} may; "
                f"try again in {_RETRY_SECONDS} s, and see GET /pipes for one that stands still",
                headers={"Retry-After": str(_RETRY_SECONDS)},
            )


def _require_taking(pipe: AddressedPipe | None, name: str) -> AddressedPipe:
    """Return a pipe that takes events. Raises PipeNotFound, PipeTakesNoEvents."""
    if pipe is None:
        raise pipe_not_found(name)
    if not pipe.takes_events:
        raise PipeTakesNoEvents(
            f"the pipe {name!r} has another source; PUT /pipes/{name} with "
            '"from": {"http": {}} changes that'
        )
    return pipe
