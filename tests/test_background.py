"""Tasks beside a block end with it, and loops outlive failures and log each row of them once."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.background import background, retry_forever
from app.outages import DatabaseUnavailable

FAULT = RuntimeError("a fault")


class Attempts:
    """An attempt whose calls end in the given ways, one after the other; None: it succeeds."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = iter(outcomes)
        self.began_at: list[float] = []
        self.all_made = asyncio.Event()

    async def __call__(self) -> None:
        self.began_at.append(asyncio.get_running_loop().time())
        try:
            outcome = next(self._outcomes)
        except StopIteration:
            self.all_made.set()
            await asyncio.Event().wait()
            raise
        if outcome is not None:
            raise outcome


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


async def test_a_task_is_cancelled_and_awaited_at_the_end_of_the_block() -> None:
    steps = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async with background(work()):
        await asyncio.sleep(0)
        steps.append("block")

    assert steps == ["block", "cleaned up"]


async def test_a_crash_is_logged_at_once_and_raised_at_the_end(logs: list[EventDict]) -> None:
    async def crash() -> None:
        raise FAULT

    async def run_beside_the_crash() -> None:
        async with background(crash()):
            while not logs:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)

    with pytest.raises(RuntimeError) as caught:
        await run_beside_the_crash()

    assert caught.value is FAULT
    assert [each["event"] for each in logs] == ["background.crashed"]


async def _run(attempts: Attempts, *, max_pause_seconds: float | None = None) -> None:
    loop = retry_forever(
        "it.failed", attempts, pause_seconds=0.01, max_pause_seconds=max_pause_seconds, field=1
    )
    async with background(loop), asyncio.timeout(30):
        await attempts.all_made.wait()


async def test_failures_in_a_row_are_logged_once(logs: list[EventDict]) -> None:
    await _run(Attempts(FAULT, FAULT, None, FAULT))

    assert [(each["event"], each["reason"], each["field"]) for each in logs] == 2 * [
        ("it.failed", "a fault", 1)
    ]


async def test_an_outage_is_left_to_its_boundary_and_hides_no_other_failure(
    logs: list[EventDict],
) -> None:
    await _run(Attempts(DatabaseUnavailable(), FAULT))

    assert [each["reason"] for each in logs] == ["a fault"]


async def test_an_operating_system_error_is_logged_without_a_traceback(
    logs: list[EventDict],
) -> None:
    await _run(Attempts(OSError("in use"), None, FAULT))

    assert [(each["log_level"], "exc_info" in each) for each in logs] == [
        ("warning", False),
        ("error", True),
    ]


async def test_a_loop_whose_cleanup_fails_ends_all_the_same(logs: list[EventDict]) -> None:
    async def attempt() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise FAULT

    async def run_briefly() -> None:
        async with background(retry_forever("it.failed", attempt, pause_seconds=0.01)):
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError) as caught:
        await run_briefly()

    assert caught.value is FAULT
    assert [each["event"] for each in logs] == ["background.crashed"]


async def test_a_pause_ends_when_the_loop_is_woken_also_during_the_call_before() -> None:
    attempts, woken = Attempts(None, None, None), asyncio.Event()

    async def attempt() -> None:
        if len(attempts.began_at) < 2:
            woken.set()
        await attempts()
        if len(attempts.began_at) == 3:
            asyncio.get_running_loop().call_soon(woken.set)

    loop = retry_forever("it.failed", attempt, pause_seconds=3_600, woken=woken)
    async with background(loop), asyncio.timeout(30):
        await attempts.all_made.wait()


async def test_pauses_double_up_to_the_longest_and_start_anew_after_a_success() -> None:
    attempts = Attempts(FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, None)

    await _run(attempts, max_pause_seconds=0.3)

    *growing, after_success = [later - earlier for earlier, later in pairwise(attempts.began_at)]
    least = (0.01, 0.02, 0.04, 0.08, 0.16, 0.3)
    assert all(pause > 0.9 * expected for pause, expected in zip(growing, least, strict=True)), (
        growing
    )
    assert after_success < growing[-1]
