"""Read an execution's states as they come: the final one, or each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from app.executions.model import Execution, ExecutionState, Status
from app.outages import DatabaseUnavailable
from app.progress.waiters import KEEP_ALIVE_SECONDS, Waiter

# Above the number of any other state: attempts are far fewer.
_FINAL_EVENT: Final = 1_000


async def await_final(
    waiter: Waiter, read: Callable[[], Awaitable[Execution]], *, seconds: float
) -> Execution:
    """Wait up to `seconds` for the final state; return the execution as it is by then.

    A notice may bring it; otherwise `read` is called, whose errors are raised. While PostgreSQL
    is away it keeps waiting, and raises only at the end.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while await waiter.wait(until=deadline) and not waiter.stopped:
        if waiter.outcome is not None:
            final: Execution = waiter.outcome.resource
            return final
        with suppress(DatabaseUnavailable):
            execution = await read()
            if execution.status.final:
                return execution
    return await read()


async def follow(
    waiter: Waiter, execution: Execution, read: Callable[[], Awaitable[Execution]], *, seen: str
) -> AsyncIterator[Execution | None]:
    """Yield each state of an execution, from `execution` to the final one.

    `seen` is the id of the last event that the client has; that state is not repeated. None
    stands for KEEP_ALIVE_SECONDS without a change. Short-lived states may be skipped: what is
    yielded is the state that was read last.
    """
    loop = asyncio.get_running_loop()
    while True:
        if event_id(execution) != seen:
            seen = event_id(execution)
            yield execution
        if execution.status.final:
            return
        waiter.known = state_of(execution)
        while not await waiter.wait(until=loop.time() + KEEP_ALIVE_SECONDS):
            yield None
        if waiter.stopped:
            return
        # While PostgreSQL is away no change is known; once it is back, all waiters catch up.
        with suppress(DatabaseUnavailable):
            execution = await read()


def state_of(execution: Execution) -> ExecutionState:
    """Return what distinguishes one state of an execution from the next."""
    return ExecutionState(id=execution.id, status=execution.status, attempts=execution.attempts)


def event_id(execution: Execution) -> str:
    """Number an execution's states in their order, equally in every process.

    A released claim counts no attempt, so the execution returns to an earlier number.
    """
    match execution.status:
        case Status.QUEUED:
            number = 2 * execution.attempts
        case Status.RUNNING:
            number = 2 * execution.attempts - 1
        case _:
            number = _FINAL_EVENT
    return str(number)
