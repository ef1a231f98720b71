"""The pool replaces cells and zygotes that end, and leaves nothing behind when it closes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from app.sandbox import session
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.meter import Meter
from app.sandbox.outcomes import Crashed, Succeeded
from app.sandbox.pool import PoolBusy, SandboxPool, open_pool
from app.sandbox.protocol import Isolation
from app.sandbox.zygote_client import SandboxUnavailable
from tests.support.processes import busy_cells, cells, count_fds, until, zygotes
from tests.support.sandbox_runs import chunks_of, job, run, run_job

ROOT = Path(__file__).resolve().parents[2]
ECHO = "const process = d => d"
ENDLESS = "function process() { console.log('started'); while (true); }"


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    """A pool of the test's own, which it may break."""
    async with open_pool(PoolConfig(cells=2, warm=1)) as opened:
        yield opened


async def never_read(_chunk: bytes) -> None:
    raise AssertionError("no output was due")


async def test_a_killed_cell_is_a_crash_and_the_next_run_works(
    pool: SandboxPool,
) -> None:
    running = asyncio.create_task(run(pool, ENDLESS))
    await until(lambda: bool(busy_cells()))
    busy_cells()[0].kill()
    ran = await running
    assert isinstance(ran.outcome, Crashed)
    assert "SIGKILL" in ran.outcome.detail
    assert [line.text for line in ran.logs] == ["started"]
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_waiting_cell_that_was_killed_is_not_used(pool: SandboxPool) -> None:
    await until(lambda: bool(cells()))
    waiting = cells()
    for cell in waiting:
        cell.kill()
    await until(lambda: not set(waiting) & set(cells()))
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_cell_stopped_as_it_is_taken_does_not_delay_its_run(
    pool: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: bool(cells()))
    (cell, *_) = cells()
    cell.suspend()
    # What it uses between the signal and its stop would count as a sign that it was woken.
    await until(lambda: cell.status() == psutil.STATUS_STOPPED)
    with monkeypatch.context() as patched:
        patched.setattr(session, "OWED_TIMEOUT_S", 0.1)
        # It was not yet when it was looked at.
        patched.setattr(Meter, "is_stopped", False)
        async with asyncio.timeout(30):
            outcome = (await run(pool, ECHO, wall_ms=100)).outcome
    assert outcome == Crashed(detail="killed: it did not start")
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_killed_zygote_is_replaced(pool: SandboxPool) -> None:
    running = asyncio.create_task(run(pool, ENDLESS))
    await until(lambda: bool(busy_cells()))
    (zygote,) = zygotes()
    zygote.kill()
    assert isinstance((await running).outcome, Crashed)
    assert (await run(pool, ECHO)).output == b"null"
    (second,) = zygotes()
    assert second.pid != zygote.pid
    # And as soon as the kernel has done it, with no run in between to notice it.
    second.kill()
    await until(lambda: has_ended(second))
    assert (await run(pool, ECHO)).output == b"null"


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def kill_zygote_at_work() -> None:
    await until(lambda: bool(busy_cells()))
    (zygote,) = zygotes()
    zygote.kill()
    await until(lambda: not zygote.is_running())


async def test_a_check_is_repeated_when_the_sandbox_dies(pool: SandboxPool) -> None:
    # Busy for long enough to be found at work.
    source = b"for (let n = 0; n < 2e9; n++); throw 1"
    checking = asyncio.create_task(pool.check(source, tenant="t", wall_ms=60_000))
    await kill_zygote_at_work()
    assert [finding.code for finding in await checking] == ["top_level_threw"]


async def test_a_check_does_not_blame_the_source_when_the_sandbox_dies_twice(
    pool: SandboxPool,
) -> None:
    checking = asyncio.create_task(pool.check(b"while (true);", tenant="t", wall_ms=60_000))
    await kill_zygote_at_work()
    await kill_zygote_at_work()
    with pytest.raises(SandboxUnavailable, match="died in a check"):
        await checking


@pytest.mark.parametrize("spare", [0, 2])
async def test_a_failed_fork_ends_no_other_run(pool: SandboxPool, spare: int) -> None:
    running = asyncio.create_task(run(pool, ENDLESS, wall_ms=300_000))
    await until(lambda: len(cells()) == 2 and bool(busy_cells()))
    (zygote,) = zygotes()
    for cell in set(cells()) - set(busy_cells()):
        cell.kill()
    await until(lambda: len(cells()) == 1)
    # No room for the two descriptors of a request, or for the one of the new process.
    used = {int(fd.name) for fd in Path("/proc", str(zygote.pid), "fd").iterdir()}
    free = [number for number in range(1_000) if number not in used]
    limits = zygote.rlimit(psutil.RLIMIT_NOFILE)
    zygote.rlimit(psutil.RLIMIT_NOFILE, (free[spare], limits[1]))
    with pytest.raises(SandboxUnavailable, match="does not fork"):
        await run(pool, ECHO)
    zygote.rlimit(psutil.RLIMIT_NOFILE, limits)
    assert (await run(pool, ECHO)).output == b"null"
    assert zygotes() == [zygote]
    assert not running.done()
    running.cancel()


async def test_cancellation_kills_the_cell(pool: SandboxPool) -> None:
    running = asyncio.create_task(run(pool, ENDLESS))
    await until(lambda: bool(busy_cells()))
    busy = busy_cells()[0]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not busy.is_running())
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_payload_that_fails_kills_the_cell_and_is_raised(pool: SandboxPool) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"[1,"
        raise LookupError("the store is gone")

    with pytest.raises(LookupError, match="store is gone"):
        await pool.run(job(ECHO), payload=broken(), sink=never_read)
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_sink_that_fails_kills_the_cell_and_is_raised(pool: SandboxPool) -> None:
    async def full(_chunk: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await pool.run(job(ECHO), payload=chunks_of(b"1"), sink=full)
    assert (await run(pool, ECHO)).output == b"null"


async def test_a_cell_that_ends_early_does_not_wait_for_the_payload(pool: SandboxPool) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"\xff"
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        report = await pool.run(job(ECHO), payload=endless(), sink=never_read)
    assert not isinstance(report.outcome, Succeeded)


async def test_a_cancellation_while_the_payload_cleans_up_is_not_lost(pool: SandboxPool) -> None:
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> AsyncIterator[bytes]:
        try:
            yield b"\xff"
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()

    running = asyncio.create_task(pool.run(job(ECHO), payload=slow_to_end(), sink=never_read))
    await cleaning.wait()
    running.cancel()
    await asyncio.sleep(0)
    cleaned.set()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_zygote_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    fds = count_fds()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SandboxUnavailable, match="does not start"):
        async with open_pool(PoolConfig(cells=1, warm=1)):
            pass
    assert count_fds() == fds


async def test_runs_beyond_the_queue_are_refused() -> None:
    async with open_pool(PoolConfig(cells=1, warm=1, max_waiting=1)) as pool:
        running = asyncio.create_task(run(pool, ENDLESS))
        await until(lambda: bool(busy_cells()))
        waiting = asyncio.create_task(run(pool, ECHO))
        await asyncio.sleep(0)
        with pytest.raises(PoolBusy):
            await run(pool, ECHO)
        running.cancel()
        assert (await waiting).output == b"null"


async def test_concurrent_runs_keep_their_own_results(pool: SandboxPool) -> None:
    answers = await asyncio.gather(
        *(run(pool, f"const process = d => d * {n}", b"2") for n in range(20))
    )
    assert [ran.value for ran in answers] == [2 * n for n in range(20)]


async def at_rest(pool: SandboxPool) -> None:
    """Wait until no cell is being made or is putting its used isolate away."""
    await until(lambda: not pool.cell_counts["being_born"] + pool.cell_counts["recovering"])


async def test_nothing_leaks_from_run_to_run(pool: SandboxPool) -> None:
    async def settle() -> tuple[int, int]:
        async with asyncio.TaskGroup() as tasks:
            for source in (ECHO, "no script", "function process() { throw 1 }", ENDLESS):
                tasks.create_task(run(pool, source, wall_ms=100))
        await at_rest(pool)
        # Each cell has five descriptors here.
        await until(lambda: len(cells()) == pool.cell_counts["fresh"] + pool.cell_counts["resting"])
        return count_fds() - 5 * len(cells()), len(zygotes())

    before = await settle()
    assert [await settle() for _ in range(6)] == [before] * 6


async def test_closing_the_pool_leaves_no_process_and_no_descriptor() -> None:
    fds = count_fds()
    async with open_pool(PoolConfig(cells=2, warm=2)) as pool:
        await run(pool, ECHO)
        everything = [*zygotes(), *cells()]
    await until(lambda: not any(process.is_running() for process in everything))
    assert count_fds() == fds


async def test_closing_the_pool_fails_a_run_that_waits_for_a_cell() -> None:
    fds = count_fds()
    async with open_pool(PoolConfig(cells=1, warm=0, isolation=Isolation.PROCESS)) as pool:
        await run(pool, ECHO)
        waiting = asyncio.create_task(run(pool, ECHO))
        # Turn by turn: a birth may take less than the while between two looks.
        while not pool._cells._spawning:  # noqa: ASYNC110 - the pool sets no event of ours
            await asyncio.sleep(0)
    with pytest.raises(SandboxUnavailable, match="closed"):
        await waiting
    assert count_fds() == fds


async def test_closing_the_pool_leaves_no_cell_of_a_waiting_run() -> None:
    fds = count_fds()
    # A context is gone before the run's end is reported, an isolate after it.
    config = PoolConfig(cells=2, warm=1, isolation=Isolation.ISOLATE)
    async with open_pool(config) as pool:
        await until(lambda: len(pool._cells._fresh) == 1)
        for _ in range(100):
            await run(pool, ECHO)
            if pool._cells._recoveries:
                break
        assert pool._cells._recoveries
        waiting = asyncio.create_task(run(pool, ECHO))
        await asyncio.sleep(0)
        assert not waiting.done()
    with pytest.raises(SandboxUnavailable, match="closed"):
        await waiting
    await until(lambda: count_fds() == fds)


async def test_a_cells_descriptors_are_not_inherited(pool: SandboxPool) -> None:
    assert not any(os.get_inheritable(each.cell.pidfd) for each in pool._cells._fresh)


async def test_a_pool_whose_refill_failed_still_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fds = count_fds()
    async with open_pool(PoolConfig(cells=1, warm=2)) as pool:
        await until(lambda: len(pool._cells._fresh) == 2)

        async def fail() -> None:
            raise LookupError("no cell today")

        monkeypatch.setattr(pool._cells, "_spawn", fail)
        await run(pool, ECHO, tenant="a")
        await run(pool, ECHO, tenant="b")
        with pytest.raises(LookupError):
            await run(pool, ECHO, tenant="c")
    assert count_fds() == fds


async def test_a_run_that_waits_starts_when_one_ends(pool: SandboxPool) -> None:
    slow = job(ENDLESS, wall_ms=200)
    await asyncio.gather(*(run_job(pool, slow) for _ in range(4)))
    assert (await run(pool, ECHO)).output == b"null"
