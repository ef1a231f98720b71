"""Do the batches of one pipe: receive, process, send, commit, acknowledge; then the next one."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, Self

import structlog
from msgspec import Struct

from app.dead_letters.store import insert_dead_letters, lock_stored_bytes
from app.errors import Problem
from app.limits import MIB
from app.metrics import PIPE_BATCH_SECONDS, count_pipe_events
from app.outages import DatabaseUnavailable
from app.pipes import lease_store
from app.pipes.commits import CommitTurns
from app.pipes.connectors.model import (
    ConnectorUnavailable,
    Event,
    Sink,
    Source,
    StoredSink,
    StoredSource,
)
from app.pipes.connectors.opening import open_sink, open_source
from app.pipes.delivery import Delivered, publish, send
from app.pipes.lease_store import HeldPipe
from app.pipes.model import DatasetSink, LoadedPipe
from app.pipes.plans import PlanCache
from app.pipes.problems import LeaseLost, PipeTroubled
from app.pipes.processing import EventOutcome, process_events
from app.quotas.errors import QuotaError
from app.resources import Resources
from app.sandbox.pool import PoolBusy
from app.sandbox.zygote_client import SandboxUnavailable

log = structlog.get_logger(__name__)

_MAX_BYTES: Final = 8 * MIB
_WAIT_SECONDS: Final = 1.0
_LAG_SECONDS: Final = 5.0
# A changed definition, and a pause, count this much later at most.
_CURRENT_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 60.0
_MAX_TROUBLE_CHARACTERS: Final = 500
_OWN_FAULT: Final = "an error of the service, which its log describes"


class _BatchSize(Struct, frozen=True, kw_only=True):
    """How many events a batch takes at most, and how long its first one waits for others."""

    events: int
    wait_seconds: float


# A snapshot should be no fragment.
_OF_DATASET: Final = _BatchSize(events=10_000, wait_seconds=2.0)
_OF_OTHERS: Final = _BatchSize(events=2_000, wait_seconds=0.02)


class PipeLoop:
    """One pipe, for as long as this worker holds it."""

    def __init__(self, resources: Resources, held: HeldPipe, commits: CommitTurns) -> None:
        """Take a pipe that is held, and the turns of its worker to commit."""
        self._commits = commits
        self._resources = resources
        self._held = held
        self._plans = PlanCache(resources)
        self._stopping = asyncio.Event()
        self._valid_until = 0.0
        # Whether it has done a batch, or could do none; and since when there was nothing to do.
        self.had_turn = False
        self.idle_since: float | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        # Whether the trouble that is stored has not been taken back yet.
        self._troubled = True
        self._lag_due = 0.0
        self._current_until = 0.0
        self._seen_revision = 0

    def renewed(self, *, until: float) -> None:
        """Note that the lease holds until a time of the event loop's clock."""
        self._valid_until = until

    def holds(self) -> bool:
        """Return whether the lease cannot have run out yet."""
        return asyncio.get_running_loop().time() < self._valid_until

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Do batches until stopped, or until the pipe is lost or deleted."""
        while not self._stopping.is_set():
            try:
                await self._work()
            except LeaseLost:
                return
            except DatabaseUnavailable:
                await self._rest(_FIRST_PAUSE_SECONDS)
            except (ConnectorUnavailable, PipeTroubled, QuotaError, Problem) as error:
                await self._trouble(_words_of(error), getattr(error, "retry_after", None))
            except (SandboxUnavailable, PoolBusy) as error:
                await self._trouble(f"the worker has no sandbox: {error}", None)
            except Exception:
                log.exception("pipe.failed", id=str(self._held.id))
                await self._trouble(_OWN_FAULT, None)

    async def _work(self) -> None:
        """Do batches of the pipe as it is defined now, until that changes.

        While one batch is sent and committed, the next one is received and processed; a change
        ends that, as nothing of it is sent yet.
        """
        async with self._resources.pool.acquire() as conn:
            pipe = await lease_store.load_held(conn, self._held)
        self._seen_revision = pipe.revision
        # No plan is older than the sink: a dataset of this name may have been made anew.
        self._plans = PlanCache(self._resources)
        async with (
            open_source(self._resources, pipe) as source,
            open_sink(self._resources, pipe) as sink,
            _Ahead() as ahead,
        ):
            ahead.begin(self._prepare(pipe, source))
            while True:
                while not await ahead.is_done(within=_CURRENT_SECONDS):
                    if not await self._goes_on(pipe):
                        return
                batch = await ahead.result()
                if not await self._goes_on(pipe):
                    return
                ahead.begin(self._prepare(pipe, source))
                self._note_turn(is_idle=batch is None)
                if batch is not None:
                    await self._finish(pipe, source, sink, batch)
                elif self._troubled:
                    await self._note(None)
                await self._look_at_lag(source)

    def _note_turn(self, *, is_idle: bool) -> None:
        self.had_turn = True
        if not is_idle:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = monotonic()

    async def _prepare(self, pipe: LoadedPipe, source: Source) -> "_Batch | None":
        """Receive and process the next batch; None: nothing has come for a while."""
        events = await self._receive(pipe, source)
        if not events:
            return None
        began = monotonic()
        plan = await self._plans.plan(pipe)
        outcomes = await process_events(self._resources, pipe, events, plan)
        return _Batch(events=events, outcomes=outcomes, began=began)

    async def _receive(self, pipe: LoadedPipe, source: Source) -> list[Event]:
        """Receive what the source has, up to a batch; the first event waits for others a little."""
        size = _size_of(pipe)
        events: list[Event] = []
        left_bytes, wait_seconds, until = _MAX_BYTES, _WAIT_SECONDS, 0.0
        while len(events) < size.events and left_bytes > 0 and wait_seconds >= 0:
            more = await source.receive(
                max_events=size.events - len(events),
                max_bytes=left_bytes,
                wait_seconds=wait_seconds,
            )
            if not more:
                break
            if not events:
                until = monotonic() + size.wait_seconds
            events += more
            left_bytes -= sum(len(each.data) for each in more)
            wait_seconds = until - monotonic()
        return events

    async def _finish(self, pipe: LoadedPipe, source: Source, sink: Sink, batch: "_Batch") -> None:
        """Send a batch, store its outcome, and only then tell the source."""
        self._require_lease()
        delivered = await send(sink, batch.outcomes)
        await self._commit(pipe, source, sink, batch.events, delivered)
        await source.acknowledge(batch.events)
        self._troubled, self._pause_seconds = False, _FIRST_PAUSE_SECONDS
        PIPE_BATCH_SECONDS.observe(monotonic() - batch.began)
        count_pipe_events(
            tenant=pipe.tenant,
            forwarded=len(delivered.forwarded),
            refused=[each.kind for each in delivered.letters.values()],
            dropped=len(delivered.dropped),
        )

    async def _commit(
        self,
        pipe: LoadedPipe,
        source: Source,
        sink: Sink,
        events: Sequence[Event],
        delivered: Delivered,
    ) -> None:
        """Store the outcome of a batch in one transaction, which a later holder's token refuses."""
        async with (
            self._commits.turn(pipe.tenant_id),
            self._resources.pool.acquire() as conn,
            conn.transaction(),
        ):
            await lease_store.count_batch(
                conn,
                self._held,
                events_in=len(events),
                forwarded=len(delivered.forwarded),
                refused=len(delivered.letters),
            )
            # In one order everywhere: the sink's row, the tenant's bytes, then what changes them.
            if isinstance(sink, StoredSink):
                await sink.lock(conn)
            if delivered.letters or isinstance(sink, StoredSink):
                await lock_stored_bytes(conn, pipe.tenant_id)
            # What the inbox frees makes room for the rest.
            if isinstance(source, StoredSource):
                await source.commit(conn, events)
            letters = tuple(delivered.letters.values())
            await insert_dead_letters(conn, pipe.tenant_id, pipe.id, letters)
            await publish(conn, sink)

    def _require_lease(self) -> None:
        """Send nothing that a later holder may send at the same time. Raises LeaseLost."""
        if not self.holds():
            raise LeaseLost(f"the lease of the pipe {self._held.id} has run out")

    async def _goes_on(self, pipe: LoadedPipe) -> bool:
        """Return whether to go on with the definition as it was loaded. Raises LeaseLost."""
        if self._stopping.is_set():
            return False
        now = monotonic()
        if now < self._current_until:
            return True
        async with self._resources.pool.acquire() as conn:
            current = await lease_store.load_held(conn, self._held)
        self._current_until = now + _CURRENT_SECONDS
        return current.revision == pipe.revision

    async def _look_at_lag(self, source: Source) -> None:
        now = monotonic()
        if now < self._lag_due:
            return
        self._lag_due = now + _LAG_SECONDS
        lag = await source.lag()
        async with self._resources.pool.acquire() as conn:
            await lease_store.note_lag(conn, self._held, lag)

    async def _trouble(self, words: str, retry_after: float | None) -> None:
        """Say why the pipe stands still, and wait before it tries again, longer each time."""
        self._note_turn(is_idle=True)
        log.warning("pipe.troubled", id=str(self._held.id), reason=words)
        await self._note(words)
        pause = max(self._pause_seconds, min(retry_after or 0.0, _LAST_PAUSE_SECONDS))
        self._pause_seconds = min(2 * self._pause_seconds, _LAST_PAUSE_SECONDS)
        await self._rest(pause)

    async def _note(self, trouble: str | None) -> None:
        with suppress(DatabaseUnavailable):
            async with self._resources.pool.acquire() as conn:
                await lease_store.note_trouble(conn, self._held, trouble)
            self._troubled = trouble is not None

    async def _rest(self, seconds: float) -> None:
        """Wait, but not beyond a change of the definition, which may end the trouble."""
        self._current_until = 0.0
        until = monotonic() + seconds
        while not self._stopping.is_set() and (left := until - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _CURRENT_SECONDS)):
                    await self._stopping.wait()
            if await self._has_changed():
                self._pause_seconds = _FIRST_PAUSE_SECONDS
                return

    async def _has_changed(self) -> bool:
        """Return whether the definition is another one than at the last look, or is gone."""
        try:
            async with self._resources.pool.acquire() as conn:
                pipe = await lease_store.load_held(conn, self._held)
        except DatabaseUnavailable:
            return False
        except LeaseLost:
            self.stop()
            return True
        seen, self._seen_revision = self._seen_revision, pipe.revision
        return seen != pipe.revision


class _Batch(Struct, frozen=True, kw_only=True):
    events: Sequence[Event]
    outcomes: Sequence[EventOutcome]
    began: float


class _Ahead:
    """The one task that prepares the next batch; cancelled at the end of the block."""

    def __init__(self) -> None:
        self._task: asyncio.Task[_Batch | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    def begin(self, coroutine: Coroutine[object, object, _Batch | None]) -> None:
        self._task = asyncio.create_task(coroutine)

    async def is_done(self, *, within: float) -> bool:
        """Wait for so many seconds at most."""
        assert self._task is not None  # noqa: S101 - begun
        done, _ = await asyncio.wait([self._task], timeout=within)
        return bool(done)

    async def result(self) -> _Batch | None:
        assert self._task is not None  # noqa: S101 - begun
        return await self._task

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                # Retrieved: the error of a batch that nobody waits for says nothing new.
                self._task.exception()


def _size_of(pipe: LoadedPipe) -> _BatchSize:
    """Return how large batches are: as the definition says, else as suits the sink."""
    to_dataset = isinstance(pipe.definition.sink.sink, DatasetSink)
    size = _OF_DATASET if to_dataset else _OF_OTHERS
    chosen = pipe.definition.batch
    return _BatchSize(
        events=size.events if chosen.events is None else chosen.events,
        wait_seconds=size.wait_seconds if chosen.wait_ms is None else chosen.wait_ms / 1_000,
    )


def _words_of(error: Exception) -> str:
    """Return why a pipe stands still, for its users."""
    words = error.detail if isinstance(error, Problem) else str(error)
    return words.replace("\0", "")[:_MAX_TROUBLE_CHARACTERS] or type(error).__name__
