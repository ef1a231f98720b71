"""Try a batch of dead letters: forward what is valid now, and mark it once the sink has it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Raw

from app.db import Connection
from app.dead_letters.model import FailedAgain, NewDeadLetter
from app.dead_letters.store import mark_failed_again, mark_moved
from app.errors import Problem
from app.limits import MIB
from app.pipes.connectors.model import ConnectorUnavailable, Event, Sink, StoredSink
from app.pipes.connectors.opening import open_sink
from app.pipes.delivery import Delivered, publish, send
from app.pipes.model import LoadedPipe
from app.pipes.problems import PipeTroubled
from app.pipes.store import load_pipe
from app.quotas.errors import QuotaExceeded
from app.redrives import lease_store, letter_store
from app.redrives.letter_store import MarkedLetter
from app.redrives.mending import mend_events
from app.redrives.model import ClaimedRedrive, RetryFailure, Tally
from app.redrives.trouble import CannotGoOn, MustWait
from app.resources import Resources
from app.sandbox.outcomes import Io
from app.scripts.model import ResolvedVersion

_MAX_LETTERS: Final = 500
_MAX_BYTES: Final = 8 * MIB
_SINK_SECONDS: Final = 2.0
_PIPE_SECONDS: Final = 10.0
_SERVER_ERRORS: Final = 500


async def try_batch(resources: Resources, claimed: ClaimedRedrive) -> Tally | None:
    """Try the next letters; None: none is left.

    A letter is forwarded first and marked then, so it can arrive twice, under the id of its event,
    and is never lost. Raises LeaseLost, CannotGoOn, MustWait, Unavailable, SandboxUnavailable.
    """
    pipe, marked = await _read(resources, claimed)
    if not marked:
        return None
    events = [
        Event(id=each.event_id, data=each.event, received_at=each.created_at)
        for each in marked
        if each.event is not None
    ]
    try:
        async with open_sink(resources, pipe) as sink:
            outcomes = await mend_events(resources, pipe, events, _script(claimed))
            delivered = await send(sink, outcomes)
            return await _record(resources, claimed, sink, marked, delivered)
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
    marked: Sequence[MarkedLetter],
    delivered: Delivered,
) -> Tally:
    """Mark what was tried, with what a StoredSink has taken, or neither."""
    async with resources.pool.acquire() as conn, conn.transaction():
        await lease_store.lock_leased(conn, claimed)
        await publish(conn, sink)
        exactly = isinstance(sink, StoredSink)
        tally = await _mark(conn, claimed, marked, delivered, exactly=exactly)
        await lease_store.count_batch(conn, claimed, tally)
    return tally


async def _mark(
    conn: Connection,
    claimed: ClaimedRedrive,
    marked: Sequence[MarkedLetter],
    delivered: Delivered,
    *,
    exactly: bool,
) -> Tally:
    """Mark letters by what has become of their events; what was erased meanwhile is left out."""
    tenant = claimed.tenant_id
    tried = await letter_store.mark_retried(conn, tenant, claimed.id, [each.id for each in marked])
    if exactly and len(tried) != len(marked):
        message = "letters have been deleted, or are another re-drive's"
        raise lease_store.LeaseLost(message)
    # Letters with an event, in whose order the events were sent.
    ids = [each.id for each in marked if each.event is not None]
    gone = [ids[place] for place in (*delivered.forwarded, *delivered.dropped)]
    moved = await mark_moved(conn, tenant, claimed.id, [each for each in gone if each in tried])
    refused = [
        _failed_again(each, ids[place])
        for place, each in sorted(delivered.letters.items())
        if ids[place] in tried
    ]
    failed_again = await mark_failed_again(conn, tenant, claimed.id, refused) if refused else 0
    return Tally(
        moved=moved,
        failed_again=failed_again,
        left_out=len(tried) - moved - failed_again,
        failures=tuple(RetryFailure(id=str(each.id), error=Raw(each.error)) for each in refused),
    )


def _failed_again(letter: NewDeadLetter, letter_id: UUID) -> FailedAgain:
    return FailedAgain(
        id=letter_id,
        kind=letter.kind,
        error=letter.error,
        schema=letter.schema,
        script=letter.script,
    )
