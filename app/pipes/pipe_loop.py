"""Do the batches of one pipe: receive, process, send, commit, acknowledge; then the next one."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Final, Self

import structlog

from app.errors import Problem
from app.metrics import PIPE_BATCH_SECONDS
from app.outages import DatabaseUnavailable
from app.pipes import lease_store
from app.pipes.commits import CommitTurns
from app.pipes.connectors.model import ConnectorUnavailable, Source
from app.pipes.connectors.opening import open_sink, open_source
from app.pipes.finishing import Finisher
from app.pipes.lease import Lease
from app.pipes.lease_store import HeldPipe
from app.pipes.model import LoadedPipe
from app.pipes.preparing import Batch, Preparer, answering
from app.pipes.problems import LeaseLost, PipeTroubled
from app.quotas.errors import QuotaError
from app.resources import Resources
from app.sandbox.zygote_client import SandboxUnavailable

log = structlog.get_logger(__name__)

_LAG_SECONDS: Final = 5.0
# A changed definition, and a pause, count this much later at most.
_CURRENT_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 60.0
_MAX_TROUBLE_CHARACTERS: Final = 500
_OWN_FAULT: Final = "an error of the service, which its log describes"


class PipeLoop:
    """One pipe, for as long as this worker holds it."""

    def __init__(self, resources: Resources, held: HeldPipe, commits: CommitTurns) -> None:
        """Take a pipe that is held, and the turns of its worker to commit."""
        self._commits = commits
        self._resources = resources
        self._held = held
        self.lease = Lease(held)
        self._stopping = asyncio.Event()
        # Whether it has done a batch, or could do none; and since when there was nothing to do.
        self.had_turn = False
        self.idle_since: float | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        # Whether the trouble that is stored has not been taken back yet.
        self._troubled = True
        self._lag_due = 0.0
        self._current_until = 0.0
        self._seen_revision = 0

    def stop(self) -> None:
        """End after what is under way of a batch."""
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
            except SandboxUnavailable as error:
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
        async with AsyncExitStack() as stack:
            async with answering("the source"):
                source = await stack.enter_async_context(open_source(self._resources, pipe))
            async with answering("the sink"):
                sink = await stack.enter_async_context(open_sink(self._resources, pipe))
            preparer = Preparer(self._resources, pipe, source)
            finisher = Finisher(self._resources, self.lease, self._commits, pipe, source, sink)
            ahead = await stack.enter_async_context(_Ahead())
            ahead.begin(preparer.next_batch())
            while True:
                while not await ahead.is_done(within=_CURRENT_SECONDS):
                    if not await self._goes_on(pipe):
                        return
                batch = await ahead.result()
                if not await self._goes_on(pipe):
                    return
                ahead.begin(preparer.next_batch())
                self._note_turn(is_idle=batch is None)
                if batch is None:
                    if self._troubled:
                        await self._note(None)
                    await self._look_at_lag(source)
                elif not await self._finish(pipe, source, finisher, batch):
                    return

    async def _finish(
        self, pipe: LoadedPipe, source: Source, finisher: Finisher, batch: Batch
    ) -> bool:
        """Finish a batch as far as its sink is quick, step by step; return whether to go on."""
        done = 0
        while True:
            done += await finisher.finish(batch.events[done:], batch.outcomes[done:])
            self._troubled, self._pause_seconds = False, _FIRST_PAUSE_SECONDS
            await self._look_at_lag(source)
            if done == len(batch.events):
                PIPE_BATCH_SECONDS.observe(monotonic() - batch.began)
                return True
            if not await self._goes_on(pipe):
                return False

    def _note_turn(self, *, is_idle: bool) -> None:
        self.had_turn = True
        if not is_idle:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = monotonic()

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
        async with answering("the source"):
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


class _Ahead:
    """The one task that prepares the next batch; cancelled at the end of the block."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Batch | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    def begin(self, coroutine: Coroutine[object, object, Batch | None]) -> None:
        self._task = asyncio.create_task(coroutine)

    async def is_done(self, *, within: float) -> bool:
        """Wait for so many seconds at most."""
        assert self._task is not None  # noqa: S101 - begun
        done, _ = await asyncio.wait([self._task], timeout=within)
        return bool(done)

    async def result(self) -> Batch | None:
        assert self._task is not None  # noqa: S101 - begun
        return await self._task

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                # Retrieved: the error of a batch that nobody waits for says nothing new.
                self._task.exception()


def _words_of(error: Exception) -> str:
    """Return why a pipe stands still, for its users."""
    words = error.detail if isinstance(error, Problem) else str(error)
    return words.replace("\0", "")[:_MAX_TROUBLE_CHARACTERS] or type(error).__name__
