"""Make the next step of each resource that can go on, and put off those that have failed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import UUID

from structlog.stdlib import BoundLogger

from app.outages import DatabaseUnavailable

_FAILED_SECONDS: Final = 60.0


def put_off(failed: dict[UUID, float]) -> list[UUID]:
    """Return the resources that others still go before, and forget when others did."""
    now = asyncio.get_running_loop().time()
    for each in [each for each, until in failed.items() if until <= now]:
        del failed[each]
    return list(failed)


async def make_steps(
    due: Iterable[UUID],
    step: Callable[[UUID], Awaitable[None]],
    failed: dict[UUID, float],
    *,
    log: BoundLogger,
    failure_event: str,
) -> None:
    """Make the steps of the resources that are due.

    One that fails is logged, and is put off for a while in `failed`. Raises DatabaseUnavailable.
    """
    until = asyncio.get_running_loop().time() + _FAILED_SECONDS
    for each in due:
        try:
            await step(each)
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception(failure_event, id=str(each))
            failed[each] = until
