"""Finish the batches of a pipe: send, commit the outcome, acknowledge."""

import asyncio
from collections.abc import Coroutine, Sequence

import structlog

from app.db import Connection
from app.dead_letters.store import insert_dead_letters
from app.metrics import count_pipe_events
from app.pipes import lease_store
from app.pipes.commits import CommitTurns
from app.pipes.connectors.model import Event, Sink, Source, StoredSink, StoredSource
from app.pipes.delivery import Delivered, publish, send
from app.pipes.lease import Lease
from app.pipes.model import LoadedPipe
from app.pipes.problems import RowsLocked
from app.pipes.processing import EventOutcome
from app.pipes.store import brief_transaction
from app.quotas.store import lock_stored_bytes
from app.resources import Resources

log = structlog.get_logger(__name__)


class Finisher:
    """Finishes the batches of a pipe as it is defined at one time."""

    def __init__(
        self,
        resources: Resources,
        lease: Lease,
        commits: CommitTurns,
        pipe: LoadedPipe,
        source: Source,
        sink: Sink,
    ) -> None:
        """Take a pipe that is held, what is open of it, and the turns of its worker to commit."""
        self._resources = resources
        self._lease = lease
        self._commits = commits
        self._pipe = pipe
        self._source = source
        self._sink = sink

    async def finish(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> int:
        """Send events, store what has become of the first ones, and only then tell the source.

        Returns how many these are. What the sink has confirmed is stored, even if there is trouble
        with the next one or this is cancelled meanwhile. Raises LeaseLost, ConnectorUnavailable,
        QuotaExceeded.
        """
        self._lease.require()
        delivered = await send(self._sink, outcomes)
        if delivered.count:
            await _to_its_end(self._store(events[: delivered.count], delivered))
        if delivered.trouble is not None:
            raise delivered.trouble
        return delivered.count

    async def _store(self, events: Sequence[Event], delivered: Delivered) -> None:
        """Commit as soon as nobody else has locked what is needed; then acknowledge.

        A lease that runs out meanwhile is no matter until another worker claims the pipe.
        """
        while not await self._commit(events, delivered):
            log.info("pipe.commit_waits", id=str(self._pipe.id))
        await self._source.acknowledge(events)
        count_pipe_events(
            tenant=self._pipe.tenant,
            forwarded=len(delivered.forwarded),
            refused=[each.kind for each in delivered.letters.values()],
            dropped=len(delivered.dropped),
        )

    async def _commit(self, events: Sequence[Event], delivered: Delivered) -> bool:
        """Store an outcome in one transaction, unless that would wait long for others' locks.

        A turn is held for a bounded time. Returns whether it is stored. Raises LeaseLost.
        """
        try:
            async with (
                self._commits.turn(self._pipe.tenant_id),
                self._resources.pool.acquire() as conn,
                brief_transaction(conn),
            ):
                await self._record(conn, events, delivered)
        except RowsLocked:
            return False
        return True

    async def _record(
        self, conn: Connection, events: Sequence[Event], delivered: Delivered
    ) -> None:
        """Store an outcome, which a later holder's token refuses.

        Locks are taken in one order everywhere: the sink's row, the tenant's bytes, then what
        changes them. What may be waited for comes before the pipe's own row, whose lease cannot be
        renewed while it is locked.
        """
        tenant = self._pipe.tenant_id
        if isinstance(self._sink, StoredSink):
            await self._sink.lock(conn)
        if delivered.letters or isinstance(self._sink, StoredSink):
            await lock_stored_bytes(conn, tenant)
        await lease_store.count_batch(
            conn,
            self._lease.held,
            events_in=len(events),
            forwarded=len(delivered.forwarded),
            refused=len(delivered.letters),
        )
        # What the inbox frees makes room for the rest.
        if isinstance(self._source, StoredSource):
            await self._source.commit(conn, events)
        letters = tuple(delivered.letters.values())
        await insert_dead_letters(conn, tenant, self._pipe.id, letters)
        await publish(conn, self._sink)


async def _to_its_end(coroutine: Coroutine[object, object, None]) -> None:
    """Run a coroutine; if this is cancelled meanwhile, only after that."""
    task = asyncio.create_task(coroutine)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("pipe.not_stored", reason=repr(error))
        raise
