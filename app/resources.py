"""Open what the API and the worker stand on: pool, bell, blobs, sandbox."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.blobs import Blobs, open_blobs
from app.db import Pool, open_pool
from app.queue import Bell, open_bell
from app.rules.reader import SourceReader, open_reader
from app.sandbox.pool import PoolConfig, SandboxPool, open_pool as open_sandbox
from app.settings import Settings


class Resources:
    """Everything that is opened once for a process and closed with it.

    A plain class: of a dataclass Litestar would check every field at every request.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        bell: Bell,
        blobs: Blobs,
        sandbox: SandboxPool,
        reader: SourceReader,
    ) -> None:
        """Take what is open."""
        self.settings = settings
        self.pool = pool
        self.bell = bell
        self.blobs = blobs
        self.sandbox = sandbox
        self.reader = reader


@asynccontextmanager
async def open_resources(settings: Settings, *, cells: PoolConfig) -> AsyncIterator[Resources]:
    """Open all of it, in order; close it in the reverse order."""
    async with AsyncExitStack() as stack:
        # The sandbox first: its zygote must be started before there is anything to inherit.
        sandbox = await stack.enter_async_context(open_sandbox(cells))
        reader = await stack.enter_async_context(open_reader())
        pool = await stack.enter_async_context(open_pool(settings))
        bell = await stack.enter_async_context(open_bell(settings))
        yield Resources(
            settings=settings,
            pool=pool,
            bell=bell,
            blobs=open_blobs(settings),
            sandbox=sandbox,
            reader=reader,
        )
