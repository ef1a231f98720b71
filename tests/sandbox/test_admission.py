"""Runs are admitted as slots and memory allow, and no waiting run starves."""

import asyncio
from pathlib import Path

import pytest

from app.sandbox import admission, cgroups
from app.sandbox.admission import Admission, budget_of_host
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from tests.support.processes import busy_cells, until
from tests.support.sandbox_runs import MIB, run

ECHO = "const process = d => d"
ENDLESS = "function process() { while (true); }"


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_run_that_fits_overtakes_one_that_waits() -> None:
    room = Admission(100, slots=9)
    first = await room.acquire(60)
    second = asyncio.create_task(room.acquire(60))
    await turns()
    assert not second.done()
    # There is memory that neither of them needs.
    small = [await asyncio.wait_for(room.acquire(20), 10) for _ in range(2)]
    room.release(first)
    await turns()
    assert second.done()
    assert len(small) == 2


async def test_a_waiting_run_waits_only_for_earlier_runs() -> None:
    room = Admission(100, slots=9)
    before = [await room.acquire(30) for _ in range(3)]
    large = asyncio.create_task(room.acquire(80))
    await turns()
    overtaking = await asyncio.wait_for(room.acquire(10), 10)
    # As much has overtaken it as fits beside it: no more may, whatever becomes free.
    later = asyncio.create_task(room.acquire(30))
    for each in before:
        assert not large.done()
        assert not later.done()
        room.release(each)
        await turns()
    assert large.done()
    assert not later.done()
    room.release(overtaking)
    room.release(await large)
    await later


async def test_many_small_runs_do_not_starve_a_large_one() -> None:
    room = Admission(100, slots=9)
    before = [await room.acquire(10) for _ in range(9)]
    large = asyncio.create_task(room.acquire(95))
    await turns()
    stream = []
    for each in before:
        assert not large.done()
        stream.append(asyncio.create_task(room.acquire(10)))
        room.release(each)
        await turns()
    assert large.done()
    room.release(await large)
    await asyncio.wait_for(asyncio.gather(*stream), 10)


async def test_a_run_that_waits_for_memory_holds_no_slot() -> None:
    room = Admission(100, slots=2)
    first = await room.acquire(80)
    second = asyncio.create_task(room.acquire(80))
    await turns()
    small = await asyncio.wait_for(room.acquire(20), 10)
    third = asyncio.create_task(room.acquire(1))
    await turns()
    assert (room.is_full, second.done(), third.done()) == (True, False, False)
    room.release(small)
    await turns()
    assert (second.done(), third.done()) == (False, True)
    room.release(first)
    await second


async def test_a_run_above_the_budget_runs_alone() -> None:
    room = Admission(100, slots=9)
    first = await room.acquire(1)
    large = asyncio.create_task(room.acquire(1_000))
    await turns()
    assert not large.done()
    room.release(first)
    held = await large
    small = asyncio.create_task(room.acquire(1))
    await turns()
    assert not small.done()
    room.release(held)
    await small


async def test_a_cancelled_run_delays_no_other() -> None:
    room = Admission(100, slots=9)
    first = await room.acquire(100)
    waiting = [asyncio.create_task(room.acquire(size)) for size in (100, 50)]
    await turns()
    waiting[0].cancel()
    room.release(first)
    # Cancelled at the moment of its turn: what it was given goes back.
    waiting[1].cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    await asyncio.wait_for(room.acquire(100), 10)


async def test_without_a_budget_only_slots_count() -> None:
    room = Admission(None, slots=100)
    held = [await asyncio.wait_for(room.acquire(2**40), 10) for _ in range(100)]
    last = asyncio.create_task(room.acquire(1))
    await turns()
    assert not last.done()
    room.release(held[0])
    await last


async def test_a_pool_runs_only_what_fits_together() -> None:
    config = PoolConfig(cells=2, warm=1, memory_bytes=600 * MIB)
    async with open_pool(config) as pool:
        first = asyncio.create_task(run(pool, ENDLESS, memory_bytes=512 * MIB))
        await until(lambda: bool(busy_cells()))
        second = asyncio.create_task(run(pool, ECHO, memory_bytes=512 * MIB))
        done, _ = await asyncio.wait([second], timeout=0.5)
        assert not done
        first.cancel()
        assert (await second).output == b"null"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1000\n"}, 1_000),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "2000"}, 2_000),
        ({"memory.max": "5000", "a/memory.max": "3000", "a/b/memory.max": "max"}, 3_000),
    ],
)
def test_a_containers_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cgroups, "_CGROUPS", tmp_path)
    folders = {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}
    monkeypatch.setattr(cgroups, "folders", lambda: sorted(folders))
    (total,) = admission._total()
    assert budget_of_host() == int(0.75 * (limit or total))
