"""Do the same with many things, a few at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

_CONCURRENT: Final = 4

T = TypeVar("T")
R = TypeVar("R")


async def concurrently(call: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Call for each item, a few at once; the first failure stops the others, and is raised."""
    # Not a task for each: cancelling very many blocks the event loop.
    rest = iter(enumerate(items))
    results: dict[int, R] = {}

    async def call_for_rest() -> None:
        for number, item in rest:
            results[number] = await call(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONCURRENT):
                tasks.create_task(call_for_rest())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [results[number] for number in range(len(results))]
