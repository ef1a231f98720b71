"""Very many things are done a few at once, and stopped as cheaply as a few."""

import asyncio

import pytest

from app.exports.concurrency import concurrently


async def test_many_things_are_done_by_a_few_tasks_and_their_results_are_in_order() -> None:
    before = len(asyncio.all_tasks())
    at_work = 0

    async def call(item: int) -> int:
        nonlocal at_work
        at_work += 1
        assert at_work <= 4
        assert len(asyncio.all_tasks()) <= before + 4
        await asyncio.sleep(0 if item % 3 else 0.001)
        at_work -= 1
        return item

    assert await concurrently(call, range(1_000)) == list(range(1_000))
    assert await concurrently(call, []) == []


async def test_the_first_failure_stops_the_others_and_is_raised() -> None:
    begun: list[int] = []
    stopped: list[int] = []

    async def call(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise OSError("down")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(item)
            raise

    with pytest.raises(OSError, match="down"):
        await concurrently(call, range(1_000))
    assert begun == [0, 1, 2, 3]
    assert sorted(stopped) == [0, 1, 2]
