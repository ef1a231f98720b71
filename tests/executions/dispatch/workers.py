"""A worker's dispatcher within the test's process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.executions.dispatch.dispatcher import Dispatcher
from app.resources import Resources


@asynccontextmanager
async def open_dispatcher(resources: Resources) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher with one slot for the length of the block."""
    dispatcher = Dispatcher(resources, slots=1)
    running = asyncio.create_task(dispatcher.run_until_stopped())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        await running
