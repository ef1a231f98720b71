"""Do the same with many things, a few at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

_CONCURRENT: Final = 4

T = TypeVar("T")
R = TypeVar("R")


async def in_turns(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Call for each item, a few at once; the first failure stops the others, and is raised."""
    slots = asyncio.Semaphore(_CONCURRENT)

    async def call_in_turn(item: T) -> R:
        async with slots:
            return await call(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(call_in_turn(each)) for each in items]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [each.result() for each in calls]
