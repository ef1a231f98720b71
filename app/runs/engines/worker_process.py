"""Run parts in a process of an engine: a sandbox of its own, opened once and proved first.

The process has the environment of a worker: `DATABASE_URL`, `REDIS_URL`, `BLOB_URL`. Everything
runs in the event loop of one thread, which the engine's own threads wait for.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
import uuid_utils.compat as uuid
import uvloop

from app.background import background, retry_forever
from app.db import Connection
from app.environment import load_service_settings
from app.errors import CrivoError
from app.executions import cancellations
from app.executions.dispatch.health import HOST_TROUBLE
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.outages import reason_of
from app.resources import Resources, open_resources
from app.runs.engines import assignment_store
from app.runs.engines.engine import run_on
from app.runs.engines.local import LocalEngine
from app.runs.engines.messages import (
    Answer,
    Assignment,
    Failed,
    Finished,
    HostFailed,
    NotValid,
    Proof,
    ProofRequest,
    Unproven,
)
from app.sandbox.pool import PoolBusy
from app.telemetry import configure_logging, redact
from app.version import VERSION

log = structlog.get_logger(__name__)

T = TypeVar("T")

# A cancelled execution is heard of at once; this is for claims that were released or rescued.
_CHECK_SECONDS: Final = 1.0
_REGISTRATION_TRIES: Final = 20
_REGISTRATION_PAUSE_SECONDS: Final = 0.25
_PROBE: Final = b"function process() {}"
_LOCK: Final = threading.Lock()
_processes: Final[list["WorkerProcess"]] = []


def worker_process(slots: int) -> "WorkerProcess":
    """Return what this process has opened; the first call starts it with `slots` cells."""
    with _LOCK:
        if not _processes:
            _processes.append(WorkerProcess(slots))
        return _processes[0]


class WorkerProcess:
    """The sandbox of an engine's process, in the event loop of a thread."""

    def __init__(self, slots: int) -> None:
        """Start the thread; the first call opens the rest."""
        self._id: UUID = uuid.uuid7()
        self._slots = slots
        self._loop = uvloop.new_event_loop()
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None
        self._holding: asyncio.Task[None] | None = None
        # The zygote ends with the thread that starts it.
        threading.Thread(target=self._loop.run_forever, name="crivo", daemon=True).start()

    def prove(self, request: ProofRequest) -> "Future[Proof | Unproven]":
        """Prove that the sandbox is locked down, or say why it cannot run parts."""
        return self._start(self._prove(request))

    def run(self, assignment: Assignment) -> Answer:
        """Run a part; the calling thread waits for its end."""
        return self._start(self._run(assignment)).result()

    def call(self, work: Callable[[Resources, UUID], Coroutine[Any, Any, T]]) -> T:
        """Do something else with what is open here, and with the id of this process.

        The calling thread waits for its end. Also raises what keeps anything from being opened.
        """
        return self._start(self._call(work)).result()

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _prove(self, request: ProofRequest) -> Proof | Unproven:
        try:
            opened = await self._open()
            return await opened.prove(request)
        except (CrivoError, *HOST_TROUBLE) as error:
            return Unproven(redact(reason_of(error)))

    async def _run(self, assignment: Assignment) -> Answer:
        try:
            opened = await self._open()
            return await opened.run(assignment)
        except (*HOST_TROUBLE, CrivoError) as error:
            return HostFailed(redact(reason_of(error)))
        except Exception as error:
            log.exception("execution.platform_failure", id=str(assignment.execution))
            return Failed(redact(reason_of(error)))

    async def _call(self, work: Callable[[Resources, UUID], Coroutine[Any, Any, T]]) -> T:
        opened = await self._open()
        return await work(opened.resources, self._id)

    async def _open(self) -> "_Opened":
        async with self._opening:
            if self._opened is None:
                opened: asyncio.Future[_Opened] = self._loop.create_future()
                # A task of its own: what it opens must be closed by the task that has opened it.
                self._holding = asyncio.create_task(self._hold(opened))
                self._opened = await opened
            return self._opened

    async def _hold(self, opened: "asyncio.Future[_Opened]") -> None:
        try:
            settings = load_service_settings()
            configure_logging(settings.log_level)
            async with open_resources(settings, cells=self._slots, service="crivo-engine") as it:
                holder = _Opened(it, self._id)
                with cancellations.subscribe(
                    it.notifier, on_cancelled=holder.cancel, resync=holder.check
                ):
                    async with background(
                        retry_forever(
                            "engine.check_failed",
                            holder.check_once,
                            pause_seconds=_CHECK_SECONDS,
                        )
                    ):
                        opened.set_result(holder)
                        await asyncio.Event().wait()
        except Exception as error:
            if opened.done():
                log.exception("engine.worker_failed")
            else:
                opened.set_exception(error)
        finally:
            # The next call opens them again.
            self._opened = None


class _Opened:
    """The open resources of the process, and the parts that run in it."""

    def __init__(self, resources: Resources, engine_worker: UUID) -> None:
        self.resources = resources
        self._id = engine_worker
        self._engine = LocalEngine(resources)
        # By token: under one, only one attempt is begun.
        self._running: dict[int, tuple[UUID, asyncio.Task[Finish]]] = {}

    async def prove(self, request: ProofRequest) -> Proof:
        sandbox = self.resources.sandbox
        # What was measured in the first cell holds of all; that cells still start is seen by one.
        with suppress(PoolBusy):
            await sandbox.check(_PROBE, tenant=str(self._id))
        return Proof(
            version=VERSION,
            v8_version=sandbox.v8_version,
            lockdown=sandbox.lockdown,
            max_memory_bytes=sandbox.max_limit_bytes,
            knows_worker=await self._knows(request.worker),
            trouble=await self.resources.blobs.trouble() or None,
        )

    async def _knows(self, worker: UUID) -> bool:
        # One that has just started registers itself with its first heartbeat.
        for _ in range(_REGISTRATION_TRIES):
            async with self.resources.pool.acquire() as conn:
                if await assignment_store.knows_worker(conn, worker):
                    return True
            await asyncio.sleep(_REGISTRATION_PAUSE_SECONDS)
        return False

    async def run(self, assignment: Assignment) -> Answer:
        async with self.resources.pool.acquire() as conn:
            claim = await assignment_store.take(conn, assignment, self._id)
        if claim is None:
            return NotValid()
        running = asyncio.create_task(self._run(claim))
        self._running[claim.lease_token] = claim.id, running
        try:
            return Finished(await running)
        except asyncio.CancelledError:
            return NotValid()
        finally:
            del self._running[claim.lease_token]

    async def _run(self, claim: Claim) -> Finish:
        return await run_on(self._engine, claim, ResourceUsage())

    def cancel(self, execution: UUID) -> None:
        for running, task in list(self._running.values()):
            if running == execution:
                task.cancel()

    async def check(self, conn: Connection) -> None:
        """Stop what runs under a token that is no longer valid."""
        running = {token: id_ for token, (id_, _) in self._running.items()}
        if not running:
            return
        valid = await assignment_store.select_valid(
            conn, [(id_, token) for token, id_ in running.items()]
        )
        for token in running.keys() - valid:
            if token in self._running:
                self._running[token][1].cancel()

    async def check_once(self) -> None:
        # Without the database nothing is known to be invalid.
        async with self.resources.pool.acquire() as conn:
            await self.check(conn)
