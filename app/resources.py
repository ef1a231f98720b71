"""Open what the API and the worker share: database, signals, blob store and sandbox."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog
from msgspec.structs import replace

from app.allocator import configure_allocator
from app.blobs import Blobs, open_blobs
from app.db import Pool, open_pool
from app.fair_queue import FairQueue
from app.lanes import Lanes
from app.lint.client import LintClient, open_lint_client
from app.notifications import Publisher, open_publisher
from app.notifier import Notifier, open_notifier
from app.outages import DatabaseUnavailable
from app.sandbox.admission import budget_of_host
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool as open_sandbox
from app.sandbox.protocol import Isolation
from app.sandbox.zygote_client import SandboxUnavailable
from app.schema_bundles import SchemaBundles
from app.settings import Settings
from app.tracing import Tracing, open_tracing
from app.work_signal import WorkSignal, open_work_signal

# Checks of uploads, and runs of samples, that may wait for the API's cell.
MAX_WAITING_CHECKS: Final = 128
MAX_WAITING_CHECKS_OF_TENANT: Final = 16
# Cells of a worker that process events of pipes.
PIPE_SLOTS: Final = 1

log = structlog.get_logger(__name__)


class Resources:
    """What a process opens once and closes as it ends.

    A plain class, since Litestar would validate every field of a dataclass at every request.
    """

    def __init__(  # noqa: PLR0913 - one keyword per resource
        self,
        *,
        settings: Settings,
        pool: Pool,
        work_signal: WorkSignal,
        publisher: Publisher,
        notifier: Notifier,
        blobs: Blobs,
        sandbox: SandboxPool,
        linter: LintClient,
        tracing: Tracing,
    ) -> None:
        """Take resources that are open."""
        self.settings = settings
        self.pool = pool
        self.work_signal = work_signal
        self.publisher = publisher
        self.notifier = notifier
        self.blobs = blobs
        self.sandbox = sandbox
        # In the API, requests of many tenants take turns at one sandbox.
        self.checks = FairQueue(
            slots=sandbox.slots,
            max_waiting=MAX_WAITING_CHECKS,
            max_waiting_of_tenant=MAX_WAITING_CHECKS_OF_TENANT,
        )
        self.linter = linter
        self.tracing = tracing
        self.bundles = SchemaBundles()
        # In a worker, pipes of many tenants take turns at cells beyond those of executions.
        self.pipe_turns = FairQueue(slots=PIPE_SLOTS)
        # Statements that arrive while one of their kind is under way go together.
        self.lanes = Lanes(shared_errors=DatabaseUnavailable)


@asynccontextmanager
async def open_resources(
    settings: Settings, *, cells: int, spare_cells: int = 0, service: str = "crivo"
) -> AsyncIterator[Resources]:
    """Open all resources for the length of the block, with a sandbox of `cells` cells.

    `spare_cells` more may run, of which none is kept warm. Traces name `service` as their source.
    Raises SandboxUnavailable, also where system calls of cells are not filtered, unless a setting
    allows it.
    """
    async with AsyncExitStack() as stack:
        # The sandbox first: its zygote would inherit whatever is open when it starts.
        config = replace(sandbox_config(settings, cells=cells), cells=cells + spare_cells)
        sandbox = await stack.enter_async_context(open_sandbox(config))
        log.info(
            "sandbox.opened",
            v8_version=sandbox.v8_version,
            lockdown=sandbox.lockdown,
            native={**sandbox.native, "malloc_trim": configure_allocator(native=settings.native)},
        )
        if sandbox.isolation != config.isolation:
            log.warning(
                "sandbox.other_isolation",
                wanted=config.isolation,
                in_force=sandbox.lockdown["isolation"],
            )
        require_seccomp(sandbox, settings)
        linter = await stack.enter_async_context(
            open_lint_client(
                max_waiting=MAX_WAITING_CHECKS, max_waiting_of_tenant=MAX_WAITING_CHECKS_OF_TENANT
            )
        )
        tracing = await stack.enter_async_context(open_tracing(settings, service=service))
        pool = await stack.enter_async_context(open_pool(settings))
        work_signal = await stack.enter_async_context(open_work_signal(settings))
        publisher = await stack.enter_async_context(open_publisher(settings))
        notifier = await stack.enter_async_context(open_notifier(settings))
        yield Resources(
            settings=settings,
            pool=pool,
            work_signal=work_signal,
            publisher=publisher,
            notifier=notifier,
            blobs=open_blobs(settings),
            sandbox=sandbox,
            linter=linter,
            tracing=tracing,
        )


def sandbox_config(settings: Settings, *, cells: int) -> PoolConfig:
    """Compose a sandbox of `cells` cells as the settings say."""
    return PoolConfig(
        cells=cells,
        warm=cells,
        memory_bytes=settings.sandbox_memory_bytes or budget_of_host(),
        isolation=Isolation(settings.sandbox_isolation),
        contexts=settings.sandbox_contexts,
        isolates=settings.sandbox_isolates,
        native=settings.native,
    )


def require_seccomp(sandbox: SandboxPool, settings: Settings) -> None:
    """Refuse a sandbox whose first cell reports that its system calls are not filtered."""
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
