"""Runs are let in as the host's memory allows, first come, first served."""

import asyncio
from pathlib import Path

import pytest

from app.sandbox import admission
from app.sandbox.admission import Admission, budget_of_host
from app.sandbox.pool import PoolConfig, open_pool
from tests.sandbox.processes import busy_cells, until
from tests.sandbox.runs import MIB, run

ECHO = "const process = d => d"
ENDLESS = "function process() { while (true); }"


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_does_not_fit_waits_for_its_turn() -> None:
    room = Admission(100)
    await room.acquire(60)
    second = asyncio.create_task(room.acquire(60))
    # It would fit; but the second came first, and must not wait for ever.
    third = asyncio.create_task(room.acquire(10))
    await turns()
    assert (second.done(), third.done()) == (False, False)
    room.release(60)
    await turns()
    assert (second.done(), third.done()) == (True, True)


async def test_what_is_larger_than_all_runs_alone() -> None:
    room = Admission(100)
    await room.acquire(1)
    large = asyncio.create_task(room.acquire(1_000))
    await turns()
    assert not large.done()
    room.release(1)
    await large
    small = asyncio.create_task(room.acquire(1))
    await turns()
    assert not small.done()
    room.release(1_000)
    await small


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    room = Admission(100)
    await room.acquire(100)
    waiting = [asyncio.create_task(room.acquire(size)) for size in (100, 50)]
    await turns()
    waiting[0].cancel()
    room.release(100)
    # Cancelled at the moment of its turn: what it was given goes back.
    waiting[1].cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    await asyncio.wait_for(room.acquire(100), 10)


async def test_without_a_budget_everything_is_let_in() -> None:
    room = Admission(None)
    for _ in range(100):
        await asyncio.wait_for(room.acquire(2**40), 10)


async def test_a_pool_runs_at_once_only_what_fits_together() -> None:
    config = PoolConfig(cells=2, warm=1, memory_bytes=600 * MIB)
    async with open_pool(config) as pool:
        first = asyncio.create_task(run(pool, ENDLESS, memory_bytes=512 * MIB))
        await until(lambda: bool(busy_cells()))
        second = asyncio.create_task(run(pool, ECHO, memory_bytes=512 * MIB))
        # A small one that came later than one that waits for memory waits with it.
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
    monkeypatch.setattr(admission, "_CGROUPS", tmp_path)
    folders = {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}
    monkeypatch.setattr(admission, "_cgroup_folders", lambda: sorted(folders))
    (total,) = admission._total()
    assert budget_of_host() == int(0.75 * (limit or total))
