"""Group calls that arrive while one is under way, so that one statement serves them all.

The first call of a lane runs alone and at once. Calls that arrive before it ends wait for its end
and then run together, up to a bound. An idle lane therefore adds no delay. Only calls that linger
wait on a timer: those for whose own end nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

import structlog
from msgspec import Struct

log = structlog.get_logger(__name__)

MAX_ITEMS: Final = 16
# A larger payload gains little and would delay the others: its statement is its own. A group holds
# no more than a single statement may, 1 MiB, which the margin of the quotas of bytes counts on.
MAX_SHARED_BYTES: Final = 64 * 1024
# Calls that linger are more, and smaller.
MAX_LINGERING_ITEMS: Final = 64
MAX_LINGERING_BYTES: Final = MAX_SHARED_BYTES * MAX_ITEMS // MAX_LINGERING_ITEMS

# What the calls are, and what sets them apart: calls of two lanes never wait for each other.
Lane: TypeAlias = tuple[str, Hashable]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Alone(Enum):
    """The answer of a group about an item that must run alone, for an exact answer."""

    ALONE = "alone"


ALONE: Final = Alone.ALONE


class _Lead(Enum):
    LEAD = "lead"


class _Call(Struct, frozen=True, eq=False):
    item: Any
    answer: "asyncio.Future[Any]"
    many: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]


class _Lane:
    """The calls that wait in a lane, and the timer for which they linger, if they do."""

    def __init__(self, linger_seconds: float) -> None:
        self.waiting: deque[_Call] = deque()
        self.linger_seconds = linger_seconds
        self.timer: asyncio.TimerHandle | None = None

    @property
    def max_items(self) -> int:
        return MAX_LINGERING_ITEMS if self.linger_seconds else MAX_ITEMS


class Lanes:
    """The lanes of one process; a lane exists while a call of it is under way."""

    def __init__(self, *, shared_errors: type[Exception]) -> None:
        """Raise `shared_errors` of a group in all its calls; after others, each call runs alone."""
        self._shared_errors = shared_errors
        self._lanes: dict[Lane, _Lane] = {}
        # The event loop itself refers to a task only weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Count the lanes: there are never more than calls."""
        return len(self._lanes)

    async def submit(
        self,
        lane: Lane,
        item: Item,
        *,
        one: Callable[[Item], Awaitable[Result]],
        many: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Alone]]],
        gather: bool = False,
        linger_seconds: float = 0,
    ) -> Result:
        """Run `one` on an item, or `many` on it and others of its lane; return the item's result.

        `many` returns a result for each item, in order, or ALONE. If it raises, nothing may have
        been done, and each item runs alone. With `gather` an idle lane begins at the next turn of
        the event loop, so that calls of one turn run together. With `linger_seconds`, which all
        calls of a lane must have, up to MAX_LINGERING_ITEMS are awaited for that long. A call that
        is cancelled while it waits does not run; the others of its group are unaffected.
        """
        loop = asyncio.get_running_loop()
        state = self._lanes.get(lane)
        if state is None:
            state = self._lanes[lane] = _Lane(linger_seconds)
            if linger_seconds:
                state.timer = loop.call_later(linger_seconds, self._next, lane)
            elif gather:
                loop.call_soon(self._next, lane)
            else:
                return await self._lead(lane, item, one)
        call = _Call(item, loop.create_future(), many)
        state.waiting.append(call)
        if state.timer is not None and len(state.waiting) >= state.max_items:
            self._next(lane)
        try:
            answer = await call.answer
        except asyncio.CancelledError:
            if _is_lead(call.answer):
                self._next(lane)
            raise
        if answer is _Lead.LEAD:
            return await self._lead(lane, item, one)
        if answer is ALONE:
            return await one(item)
        result: Result = answer
        return result

    async def _lead(
        self, lane: Lane, item: Item, one: Callable[[Item], Awaitable[Result]]
    ) -> Result:
        try:
            return await one(item)
        finally:
            self._end_run(lane)

    def _next(self, lane: Lane) -> None:
        """Start what waits in a lane; without any, the lane ends."""
        state = self._lanes[lane]
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        group: list[_Call] = []
        while state.waiting and len(group) < state.max_items:
            call = state.waiting.popleft()
            if not call.answer.done():
                group.append(call)
        match group:
            case []:
                del self._lanes[lane]
            case [call]:
                call.answer.set_result(_Lead.LEAD)
            case _:
                # A task of its own: the end of one of the calls must not end the others'.
                task = asyncio.create_task(self._run(lane, group))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: Lane, group: Sequence[_Call]) -> None:
        answers: Sequence[Any] = [ALONE] * len(group)
        failure: Exception | None = None
        try:
            results = await group[0].many([call.item for call in group])
            answers = [result for _, result in zip(group, results, strict=True)]
        except self._shared_errors as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - each call runs alone and raises its own
            # Without its text, which may hold values of rows.
            log.warning(
                "shared_statement.failed",
                kind=lane[0],
                calls=len(group),
                error=type(error).__name__,
            )
        finally:
            for call, answer in zip(group, answers, strict=True):
                if call.answer.done():
                    continue
                if failure is None:
                    call.answer.set_result(answer)
                else:
                    call.answer.set_exception(failure)
            self._end_run(lane)

    def _end_run(self, lane: Lane) -> None:
        state = self._lanes[lane]
        if not state.linger_seconds or len(state.waiting) >= state.max_items:
            self._next(lane)
        else:
            loop = asyncio.get_running_loop()
            state.timer = loop.call_later(state.linger_seconds, self._next, lane)


def _is_lead(answer: "asyncio.Future[Any]") -> bool:
    return answer.done() and not answer.cancelled() and _result_of(answer) is _Lead.LEAD


def _result_of(answer: "asyncio.Future[Any]") -> object:
    return None if answer.exception() is not None else answer.result()
