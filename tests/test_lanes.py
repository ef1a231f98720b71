"""Calls that arrive while one is under way run together, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from structlog.testing import capture_logs

from app.lanes import ALONE, MAX_ITEMS, MAX_LINGERING_ITEMS, Alone, Lanes


class Unavailable(Exception):
    """Stands for an error that concerns all calls of a group."""


class Statements:
    """Counts in place of a database; `one` and `many` end when the test lets them."""

    def __init__(self) -> None:
        self.lanes = Lanes(shared_errors=Unavailable)
        self.runs: list[list[int]] = []
        self.going_on = asyncio.Event()
        self.group_going_on = asyncio.Event()
        self.group_going_on.set()
        self.failure: Exception | None = None
        self.alone: set[int] = set()

    async def one(self, item: int) -> str:
        self.runs.append([item])
        await self.going_on.wait()
        if item < 0:
            raise ValueError(item)
        return f"one {item}"

    async def many(self, items: Sequence[int]) -> Sequence[str | Alone]:
        self.runs.append(list(items))
        await self.group_going_on.wait()
        if self.failure is not None:
            raise self.failure
        return [ALONE if item in self.alone else f"many {item}" for item in items]

    async def submit(
        self,
        item: int,
        *,
        lane: tuple[str, str] = ("kind", "key"),
        gather: bool = False,
        linger_seconds: float = 0,
    ) -> str:
        return await self.lanes.submit(
            lane, item, one=self.one, many=self.many, gather=gather, linger_seconds=linger_seconds
        )

    async def begin(self, *items: int) -> list["asyncio.Task[str]"]:
        """Submit items in order; return when all have arrived."""
        tasks = [asyncio.create_task(self.submit(item)) for item in items]
        await turns()
        return tasks


async def turns() -> None:
    """Let everything happen that can happen without the test."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_idle_lane_runs_each_call_alone_and_at_once() -> None:
    statements = Statements()
    statements.going_on.set()

    assert [await statements.submit(item) for item in (1, 2)] == ["one 1", "one 2"]
    assert statements.runs == [[1], [2]]


async def test_calls_behind_one_under_way_run_together_in_their_order() -> None:
    statements = Statements()
    tasks = await statements.begin(1, 2, 3, 4)
    assert statements.runs == [[1]]

    statements.going_on.set()

    assert await asyncio.gather(*tasks) == ["one 1", "many 2", "many 3", "many 4"]
    assert statements.runs == [[1], [2, 3, 4]]


async def test_a_single_call_behind_one_under_way_runs_alone() -> None:
    statements = Statements()
    tasks = await statements.begin(1, 2)
    statements.going_on.set()

    assert await asyncio.gather(*tasks) == ["one 1", "one 2"]


async def test_a_group_is_bounded_and_the_rest_follows() -> None:
    statements = Statements()
    items = list(range(2 * MAX_ITEMS + 2))
    tasks = await statements.begin(*items)
    statements.going_on.set()
    await asyncio.gather(*tasks)

    bound = MAX_ITEMS + 1
    assert statements.runs == [[0], items[1:bound], items[bound:-1], [items[-1]]]


async def test_lanes_do_not_wait_for_each_other_nor_mix() -> None:
    statements = Statements()
    tasks = [
        asyncio.create_task(statements.submit(item, lane=lane))
        for lane in (("kind", "a"), ("kind", "b"))
        for item in (1, 2, 3)
    ]
    await turns()
    assert statements.runs == [[1], [1]]
    statements.going_on.set()
    await asyncio.gather(*tasks)

    assert statements.runs == [[1], [1], [2, 3], [2, 3]]
    assert len(statements.lanes) == 0


async def test_calls_of_one_turn_are_gathered_from_an_idle_lane() -> None:
    statements = Statements()
    statements.going_on.set()
    gathered = await asyncio.gather(*(statements.submit(n, gather=True) for n in (1, 2, 3)))

    assert gathered == ["many 1", "many 2", "many 3"]
    assert await statements.submit(4, gather=True) == "one 4"
    assert statements.runs == [[1, 2, 3], [4]]


async def test_calls_that_linger_run_once_enough_have_come_or_their_time_is_over() -> None:
    statements = Statements()
    linger = partial(statements.submit, linger_seconds=3_600)
    many = [asyncio.create_task(linger(n)) for n in range(MAX_LINGERING_ITEMS + 2)]
    await asyncio.gather(*many[:MAX_LINGERING_ITEMS])

    assert statements.runs == [list(range(MAX_LINGERING_ITEMS))]
    for task in many:
        task.cancel()

    few = [
        asyncio.create_task(statements.submit(n, lane=("kind", "few"), linger_seconds=0.001))
        for n in (1, 2)
    ]
    assert await asyncio.gather(*few) == ["many 1", "many 2"]


async def test_an_item_that_a_group_does_not_decide_runs_alone() -> None:
    statements = Statements()
    statements.alone = {-2}
    tasks = await statements.begin(1, -2, 3)
    statements.going_on.set()

    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == ("one 1", "many 3")
    assert isinstance(second, ValueError)


@pytest.mark.parametrize("failure", [ZeroDivisionError("a mistake"), None])
async def test_after_a_failed_group_each_call_runs_alone(failure: Exception | None) -> None:
    statements = Statements()
    statements.failure = failure
    if failure is None:
        # A result for each item is a part of the contract.
        # mypy takes no assignment to a method, which this test replaces by a faulty one.
        statements.many = _too_few  # type: ignore[method-assign]
    tasks = await statements.begin(1, 2, -3)
    statements.going_on.set()

    *answers, error = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers == ["one 1", "one 2"]
    assert isinstance(error, ValueError)
    assert await statements.submit(4) == "one 4"
    assert len(statements.lanes) == 0


async def test_an_outage_reaches_all_calls_of_a_group() -> None:
    statements = Statements()
    statements.failure = Unavailable()
    tasks = await statements.begin(1, 2, 3)
    statements.going_on.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers == ["one 1", statements.failure, statements.failure]
    assert statements.runs == [[1], [2, 3]]
    assert await statements.submit(4) == "one 4"
    assert len(statements.lanes) == 0


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
async def test_a_cancelled_call_takes_no_other_with_it(cancelled: int) -> None:
    statements = Statements()
    tasks = await statements.begin(0, 1, 2, 3)

    tasks[cancelled].cancel()
    await turns()
    statements.going_on.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(cancelled), asyncio.CancelledError)
    assert all(isinstance(each, str) for each in answers)
    # What waited when it was cancelled did not run.
    assert [item for run in statements.runs for item in run if item == cancelled] == (
        [0] if cancelled == 0 else []
    )
    assert await statements.submit(4) == "one 4"
    assert len(statements.lanes) == 0


async def test_a_call_cancelled_while_its_group_runs_takes_no_other_with_it() -> None:
    statements = Statements()
    first, second, third = await statements.begin(1, 2, 3)
    statements.group_going_on.clear()
    statements.going_on.set()
    await first
    await turns()
    assert statements.runs == [[1], [2, 3]]

    second.cancel()
    await turns()
    statements.group_going_on.set()

    assert await third == "many 3"
    assert second.cancelled()


async def test_a_call_cancelled_as_its_turn_comes_passes_the_turn_on() -> None:
    statements = Statements()

    async def lead() -> None:
        await statements.submit(1)
        # The turn is the second call's, whose task has not run again yet.
        second.cancel()

    first = asyncio.create_task(lead())
    await turns()
    [second] = await statements.begin(2)
    statements.going_on.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert second.cancelled()
    [third] = await statements.begin(3)

    assert await asyncio.wait_for(third, 5) == "one 3"
    assert len(statements.lanes) == 0


async def test_a_failed_group_is_logged_without_what_its_error_says() -> None:
    statements = Statements()
    statements.failure = ZeroDivisionError("a value")
    tasks = await statements.begin(1, 2, 3)
    statements.going_on.set()
    with capture_logs() as logs:
        await asyncio.gather(*tasks)

    assert logs == [
        {
            "event": "shared_statement.failed", "log_level": "warning",
            "kind": "kind", "calls": 2, "error": "ZeroDivisionError",
        }
    ]  # fmt: skip


async def _too_few(items: Sequence[int]) -> Sequence[str | Alone]:
    return ["one result"] if len(items) > 1 else []
