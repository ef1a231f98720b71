"""Run tasks beside a block of code, and loops that outlive failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import structlog

from app.outages import Unavailable

log = structlog.get_logger(__name__)


@asynccontextmanager
async def background(coroutine: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run a coroutine as a task for the length of the block; cancel and await it at the end.

    A crash of the task does not interrupt the block. It is logged as it happens, and raised at
    the end of the block.
    """
    task = asyncio.create_task(coroutine)
    task.add_done_callback(_log_crash)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def retry_forever(
    failure_event: str,
    attempt: Callable[[], Awaitable[None]],
    *,
    pause_seconds: float,
    max_pause_seconds: float | None = None,
    woken: asyncio.Event | None = None,
    **fields: object,
) -> None:
    """Call `attempt` until cancelled, with a pause after each call.

    `woken` ends the pause after a call that has not failed, and is cleared; set during a call, it
    leaves the pause out.

    Failures in a row double the pause, up to `max_pause_seconds` (default: no growth), and only
    the first of them is logged, as `failure_event` with `fields`. An attempt that fails after
    it has run for longer than the longest pause begins a new row. Unavailable is not logged
    again: its boundary has done so.
    """
    longest_seconds = max_pause_seconds or pause_seconds
    next_pause_seconds, logged = pause_seconds, False
    now = asyncio.get_running_loop().time
    while True:
        began = now()
        error = await _error_of(attempt)
        if error is None or now() - began > longest_seconds:
            next_pause_seconds, logged = pause_seconds, False
        if error is not None and not logged and not isinstance(error, Unavailable):
            _log_failure(failure_event, error, fields)
            logged = True
        if error is not None:
            await asyncio.sleep(next_pause_seconds)
            next_pause_seconds = min(2 * next_pause_seconds, longest_seconds)
        else:
            await _pause(pause_seconds, woken)


async def _pause(seconds: float, woken: asyncio.Event | None) -> None:
    if woken is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
    # Before the next call: what comes during that may not be seen by it.
    woken.clear()


async def _error_of(attempt: Callable[[], Awaitable[None]]) -> Exception | None:
    try:
        await attempt()
    except Exception as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The cleanup of a cancelled attempt has failed: the loop must end all the same.
            raise
        return error
    return None


def _log_crash(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background.crashed", task=repr(task.get_coro()), exc_info=error)


def _log_failure(event: str, error: Exception, fields: dict[str, object]) -> None:
    if isinstance(error, OSError):
        # Its text says all; for anything else the traceback is needed.
        log.warning(event, reason=str(error), **fields)
    else:
        log.error(event, reason=str(error), exc_info=error, **fields)
