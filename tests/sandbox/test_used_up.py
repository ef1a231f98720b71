"""Cells and zygotes that are used up end, and lose nothing of their last run."""

import asyncio
from collections.abc import AsyncIterator

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import Crashed, Succeeded
from app.sandbox.pool import open_pool
from app.sandbox.protocol import Isolation
from tests.support.processes import busy_cells, cells, until, zygotes
from tests.support.sandbox_runs import MIB, chunks_of, job, run

ECHO = "const process = d => d"
ENDLESS = "function process() { while (true); }"


async def test_isolation_by_process_runs_one_execution_per_process() -> None:
    async with open_pool(PoolConfig(cells=1, warm=0, isolation=Isolation.PROCESS)) as pool:
        for _ in range(3):
            ran = await run(pool, ECHO, b"1")
            assert (ran.output, ran.report.isolation) == (b"1", "process")
            await until(lambda: not cells())
            assert not pool._cells._resting


async def test_a_cell_that_idles_too_long_ends() -> None:
    config = PoolConfig(cells=1, warm=0, idle_seconds=0.05)
    async with open_pool(config) as pool:
        await run(pool, ECHO)
        await until(lambda: not pool.cell_counts["recovering"] + pool.cell_counts["resting"])
        await until(lambda: not cells())
        assert (await run(pool, ECHO, b"2")).output == b"2"


async def test_a_renewed_zygote_lets_its_runs_finish() -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        begun.set()
        await released.wait()
        yield b"1"

    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    async with open_pool(PoolConfig(cells=2, warm=0, isolation=Isolation.PROCESS, forks=2)) as pool:
        running = asyncio.create_task(pool.run(job(ECHO), payload=held(), sink=sink))
        await begun.wait()
        (first,) = zygotes()
        for number in range(3):
            assert (await run(pool, ECHO, b"%d" % number)).value == number
        assert len(zygotes()) == 2
        released.set()
        assert isinstance((await running).outcome, Succeeded)
        assert output == b"1"
        await until(lambda: first not in zygotes())
        assert len(zygotes()) == 1


async def test_closing_the_pool_ends_a_zygote_that_was_renewed() -> None:
    async with open_pool(PoolConfig(cells=2, warm=0, isolation=Isolation.PROCESS, forks=2)) as pool:
        running = asyncio.create_task(run(pool, ENDLESS, wall_ms=300_000))
        await until(lambda: bool(busy_cells()))
        for _ in range(2):
            await run(pool, ECHO)
        everything = [*zygotes(), *cells()]
        assert len(zygotes()) == 2
    assert isinstance((await running).outcome, Crashed)
    await until(lambda: not any(process.is_running() for process in everything))


async def test_a_slow_sink_does_not_lose_the_usage_of_a_cells_last_job() -> None:
    heavy = "const process = () => { let s = 0; for (let i = 0; i < 1e8; i++) s += i; return s }"
    async with open_pool(PoolConfig(cells=1, warm=0, isolation=Isolation.PROCESS)) as pool:
        ended = cells()

        async def slow(_chunk: bytes) -> None:
            # The cell has used its only isolate and ends while the sink still writes.
            await until(lambda: not any(cell.is_running() for cell in ended))

        report = await pool.run(job(heavy), payload=chunks_of(b"1"), sink=slow)
    assert report.usage.cpu_ms > report.usage.run_ms / 10
    assert report.usage.peak_memory_bytes > 10 * MIB
