"""Send a directory with tasks; files are read and compressed in threads."""

import asyncio
from collections.abc import Iterator

from crivo.aio.driver import AsyncDriver
from crivo.dataset_models import Sent
from crivo.sending import Job, Sending


async def send(driver: AsyncDriver, sending: Sending, *, parallel: int) -> Sent:
    """Send a directory to the end. Raises CrivoError, OSError."""
    with sending:
        await driver.do(sending.begin())
        await _work(driver, sending.comparisons(), parallel)
        await driver.do(sending.settle())
        await _work(driver, sending.parts(), parallel)
        await asyncio.to_thread(sending.check)
        return await driver.do(sending.finish())


async def _work(driver: AsyncDriver, jobs: Iterator[Job], parallel: int) -> None:
    """Carry out jobs until there is none, or one has failed."""
    # A generator is read by one thread at a time.
    turn = asyncio.Lock()

    async def work() -> None:
        while True:
            async with turn:
                job = await asyncio.to_thread(next, jobs, None)
            if job is None:
                return
            await driver.do(await asyncio.to_thread(job))

    tasks = [asyncio.create_task(work()) for _ in range(max(1, parallel))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
