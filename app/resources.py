"""Open what the API and the worker stand on: pool, work signal, publisher, blobs, sandbox."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog

from app.blobs import Blobs, open_blobs
from app.db import Pool, open_pool
from app.fair_queue import FairQueue
from app.lint.client import LintClient, open_lint_client
from app.notifications import Publisher, open_publisher
from app.sandbox.admission import budget_of_host
from app.sandbox.pool import PoolConfig, SandboxPool, SandboxUnavailable, open_pool as open_sandbox
from app.settings import Settings
from app.tracing import Tracing, open_tracing
from app.work_signal import WorkSignal, open_work_signal

# Upload checks and samples that may wait for the API's cell, in all and of one tenant.
CHECKS_WAITING: Final = 128
CHECKS_OF_TENANT: Final = 16

log = structlog.get_logger(__name__)


class Resources:
    """Everything that is opened once for a process and closed with it.

    A plain class: of a dataclass Litestar would check every field at every request.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        work_signal: WorkSignal,
        publisher: Publisher,
        blobs: Blobs,
        sandbox: SandboxPool,
        linter: LintClient,
        tracing: Tracing,
    ) -> None:
        """Take what is open."""
        self.settings = settings
        self.pool = pool
        self.work_signal = work_signal
        self.publisher = publisher
        self.blobs = blobs
        self.sandbox = sandbox
        # Turns at the sandbox, where requests of many tenants want it at once: in the API.
        self.checks = FairQueue(
            slots=sandbox.slots,
            max_waiting=CHECKS_WAITING,
            max_waiting_of_tenant=CHECKS_OF_TENANT,
        )
        self.linter = linter
        self.tracing = tracing


@asynccontextmanager
async def open_resources(
    settings: Settings, *, cells: int, service: str = "crivo"
) -> AsyncIterator[Resources]:
    """Open all of it, in order, with a sandbox of so many cells; close it in reverse.

    Traces are told in the name of `service`.

    Raises SandboxUnavailable, also for cells whose system calls are not filtered, unless a
    setting allows them.
    """
    async with AsyncExitStack() as stack:
        # The sandbox first: its zygote must be started before there is anything to inherit.
        config = _sandbox_of(settings, cells=cells)
        sandbox = await stack.enter_async_context(open_sandbox(config))
        log.info("sandbox.opened", v8_version=sandbox.v8_version, lockdown=sandbox.lockdown)
        _require_seccomp(sandbox, settings)
        linter = await stack.enter_async_context(
            open_lint_client(max_waiting=CHECKS_WAITING, max_waiting_of_tenant=CHECKS_OF_TENANT)
        )
        tracing = await stack.enter_async_context(open_tracing(settings, service=service))
        pool = await stack.enter_async_context(open_pool(settings))
        work_signal = await stack.enter_async_context(open_work_signal(settings))
        publisher = await stack.enter_async_context(open_publisher(settings))
        yield Resources(
            settings=settings,
            pool=pool,
            work_signal=work_signal,
            publisher=publisher,
            blobs=open_blobs(settings),
            sandbox=sandbox,
            linter=linter,
            tracing=tracing,
        )


def _sandbox_of(settings: Settings, *, cells: int) -> PoolConfig:
    alone = settings.sandbox_isolation == "process"
    return PoolConfig(
        cells=cells,
        warm=cells,
        memory_bytes=settings.sandbox_memory_bytes or budget_of_host(),
        isolates=1 if alone else settings.sandbox_isolates,
    )


def _require_seccomp(sandbox: SandboxPool, settings: Settings) -> None:
    """Refuse cells that may make any system call, as a first cell has measured it."""
    state = sandbox.lockdown.get("seccomp", "off")
    if state == "on":
        return
    if not settings.sandbox_without_seccomp:
        raise SandboxUnavailable(
            f"system calls of user code are not filtered (seccomp is {state}); "
            "CRIVO_SANDBOX_WITHOUT_SECCOMP=true runs it all the same"
        )
    log.warning(
        "sandbox.without_seccomp", seccomp=state, allowed_by="CRIVO_SANDBOX_WITHOUT_SECCOMP"
    )
