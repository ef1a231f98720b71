"""Try a batch of dead letters: forward what is valid now, and mark it once the sink has it."""

import asyncio
from collections.abc import Sequence, Set as AbstractSet
from itertools import takewhile
from typing import Final
from uuid import UUID

from app.db import Connection
from app.dead_letters.model import FailedAgain, NewDeadLetter
from app.dead_letters.store import mark_dropped, mark_failed_again, mark_moved
from app.errors import Problem
from app.limits import MIB
from app.pipes.connectors.model import ConnectorUnavailable, Event, Sink, StoredSink
from app.pipes.connectors.opening import open_sink
from app.pipes.delivery import Delivered, publish, send
from app.pipes.model import LoadedPipe
from app.pipes.problems import PipeTroubled
from app.pipes.processing import EventOutcome
from app.pipes.store import load_pipe
from app.quotas.errors import QuotaExceeded
from app.redrives import lease_store, letter_store
from app.redrives.deadlines import STEP_SECONDS, deadline
from app.redrives.letter_store import MarkedLetter
from app.redrives.mending import Mending, mend_events, plan_mending
from app.redrives.model import ClaimedRedrive, Retried, Tally
from app.redrives.trouble import CannotGoOn, MarksChanged, MustWait
from app.resources import Resources
from app.sandbox.outcomes import Io
from app.sandbox.zygote_client import SandboxUnavailable
from app.scripts.model import ResolvedVersion

_MAX_LETTERS: Final = 500
_MAX_BYTES: Final = 8 * MIB
# After so long a batch is recorded as far as it has come.
_BATCH_SECONDS: Final = 30.0
# Mended and sent together while that is quick.
_MAX_STEP: Final = 100
_QUICK_SECONDS: Final = 1.0
_SINK_SECONDS: Final = 2.0
_PIPE_SECONDS: Final = 10.0
_SERVER_ERRORS: Final = 500
_TROUBLE: Final = (
    MustWait,
    ConnectorUnavailable,
    PipeTroubled,
    Problem,
    SandboxUnavailable,
    OSError,
    MemoryError,
)


async def try_batch(resources: Resources, claimed: ClaimedRedrive) -> Tally | None:
    """Try the next letters; None: none is left.

    A letter is forwarded first and marked then, so it can arrive twice, under the id of its event,
    and is never lost. Raises LeaseLost, MarksChanged, CannotGoOn, MustWait, Unavailable,
    SandboxUnavailable.
    """
    pipe, marked = await _read(resources, claimed)
    if not marked:
        return None
    try:
        async with open_sink(resources, pipe) as sink:
            sent = await _forward(resources, claimed, pipe, sink, marked)
            return await _record(resources, claimed, sink, sent)
    except ConnectorUnavailable as error:
        raise MustWait(error.message, seconds=error.retry_after or _SINK_SECONDS) from None
    except (PipeTroubled, QuotaExceeded) as error:
        raise MustWait(str(error), seconds=_PIPE_SECONDS) from None
    except Problem as problem:
        if problem.status >= _SERVER_ERRORS:
            raise
        # A reference of the pipe that names nothing now.
        raise MustWait(problem.detail, seconds=_PIPE_SECONDS) from None


async def _read(
    resources: Resources, claimed: ClaimedRedrive
) -> tuple[LoadedPipe, list[MarkedLetter]]:
    assert claimed.pipe_id is not None  # noqa: S101 - it is of a pipe
    limit = min(_MAX_LETTERS, claimed.per_second or _MAX_LETTERS)
    async with resources.pool.acquire() as conn:
        pipe = await load_pipe(conn, claimed.tenant_id, claimed.pipe_id)
        if pipe is None:
            message = "the pipe has been deleted, with its dead letters"
            raise CannotGoOn(message)
        marked = await letter_store.select_marked(
            conn, claimed.tenant_id, claimed.id, limit=limit, max_bytes=_MAX_BYTES
        )
    return pipe, marked


class _Sent:
    """Letters that were tried, in their order, and what has become of them."""

    def __init__(self) -> None:
        self.tried: list[MarkedLetter] = []
        self.forwarded: list[UUID] = []
        self.dropped: list[UUID] = []
        self.refused: list[FailedAgain] = []

    def add(self, letters: Sequence[MarkedLetter], delivered: Delivered) -> None:
        """Add letters as far as their events were answered, which were sent in their order.

        One whose event has been erased has none.
        """
        ids = [each.id for each in letters if each.event is not None]
        unanswered = {*ids[delivered.count :]}
        self.tried += takewhile(lambda each: each.id not in unanswered, letters)
        self.forwarded += [ids[place] for place in delivered.forwarded]
        self.dropped += [ids[place] for place in delivered.dropped]
        self.refused += [
            _failed_again(each, ids[place]) for place, each in sorted(delivered.letters.items())
        ]


async def _forward(
    resources: Resources,
    claimed: ClaimedRedrive,
    pipe: LoadedPipe,
    sink: Sink,
    marked: Sequence[MarkedLetter],
) -> _Sent:
    """Mend and send letters in their order, one at least, until the time of a batch is over.

    Trouble after the sink has taken some ends the batch early, so that these are recorded: the next
    batch meets it first of all.
    """
    plans = await plan_mending(resources, pipe, _script(claimed))
    time = asyncio.get_running_loop().time
    until = time() + _BATCH_SECONDS
    sent, size = _Sent(), 1
    try:
        while len(sent.tried) < len(marked) and (not sent.tried or time() < until):
            began, step = time(), marked[len(sent.tried) :][:size]
            async with deadline("the events were not processed", seconds=STEP_SECONDS):
                outcomes = await _mend(resources, step, plans)
            async with deadline("the sink has not answered", seconds=STEP_SECONDS):
                delivered = await send(sink, outcomes)
            sent.add(step, delivered)
            if delivered.trouble is not None:
                raise delivered.trouble
            is_quick = time() - began < _QUICK_SECONDS
            size = min(2 * size, _MAX_STEP) if is_quick else max(1, size // 2)
    except _TROUBLE:
        if not sent.tried:
            raise
    return sent


async def _mend(
    resources: Resources, letters: Sequence[MarkedLetter], plans: Mending
) -> list[EventOutcome]:
    """Return what becomes of each letter that is not erased."""
    events = [
        Event(id=each.event_id, data=each.event) for each in letters if each.event is not None
    ]
    return await mend_events(resources, events, plans)


def _script(claimed: ClaimedRedrive) -> ResolvedVersion | None:
    """Return the version of the re-drive, which was found as it was created."""
    if claimed.script_id is None or claimed.script_version is None:
        return None
    return ResolvedVersion(
        script_id=claimed.script_id,
        version=claimed.script_version,
        archived_at=None,
        io=Io.JSON,
        has_process=True,
    )


async def _record(
    resources: Resources,
    claimed: ClaimedRedrive,
    sink: Sink,
    sent: _Sent,
) -> Tally:
    """Mark what was tried, with what a StoredSink has taken, or neither."""
    tenant, ids = claimed.tenant_id, [each.id for each in sent.tried]
    async with resources.pool.acquire() as conn, conn.transaction():
        # Locks in one order everywhere: docs/design/storage.md.
        await lease_store.lock_leased(conn, claimed)
        if isinstance(sink, StoredSink):
            await sink.lock(conn)
        tried = await letter_store.mark_retried(conn, tenant, claimed.id, ids)
        await publish(conn, sink)
        tally = await _mark(conn, claimed, sent, tried, exactly=isinstance(sink, StoredSink))
        await lease_store.count_batch(conn, claimed, tally)
    return tally


async def _mark(
    conn: Connection,
    claimed: ClaimedRedrive,
    sent: _Sent,
    tried: AbstractSet[UUID],
    *,
    exactly: bool,
) -> Tally:
    """Mark letters by what has become of their events; what was erased meanwhile is left out.

    `exactly`: their events are published with the marks, so that each of them has to be marked.
    """
    tenant = claimed.tenant_id
    forwarded = [each for each in sent.forwarded if each in tried]
    moved = await mark_moved(conn, tenant, claimed.id, forwarded)
    if exactly and (len(tried), moved) != (len(sent.tried), len(sent.forwarded)):
        message = "letters have been deleted or erased, or are another re-drive's"
        raise MarksChanged(message)
    unwanted = [each for each in sent.dropped if each in tried]
    dropped = await mark_dropped(conn, tenant, claimed.id, unwanted)
    refused = [each for each in sent.refused if each.id in tried]
    failed_again = await mark_failed_again(conn, tenant, claimed.id, refused) if refused else 0
    return Tally(
        moved=moved,
        dropped=dropped,
        failed_again=failed_again,
        left_out=len(tried) - moved - dropped - failed_again,
        failures=tuple(Retried(id=str(each.id)) for each in refused),
    )


def _failed_again(letter: NewDeadLetter, letter_id: UUID) -> FailedAgain:
    return FailedAgain(
        id=letter_id,
        kind=letter.kind,
        error=letter.error,
        schema=letter.schema,
        script=letter.script,
    )
