"""Check what users send in the API's own sandbox, in turns, or say why that cannot be now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from app.auth.callers import Caller
from app.errors import Problem
from app.fair_queue import FairQueueFull, TenantQueueFull
from app.resources import Resources
from app.sandbox.pool import PoolBusy
from app.sandbox.zygote_client import SandboxUnavailable

log = structlog.get_logger(__name__)

# The reasons why something cannot be checked now; `cannot_check` makes problems of them.
UNCHECKED: Final = (TenantQueueFull, FairQueueFull, PoolBusy, SandboxUnavailable)
_RETRY_AFTER: Final = {"Retry-After": "1"}


class CheckBusy(Problem):
    """The queue of checks is full, or no sandbox can be started."""

    status = 503
    code = "check-busy"
    title = "The upload cannot be checked at the moment"


class TooManyChecks(Problem):
    """The tenant has reached its limit of waiting checks."""

    status = 429
    code = "too-many-checks"
    title = "Too many uploads of this tenant are waiting to be checked"


@asynccontextmanager
async def check_turn(resources: Resources, caller: Caller) -> AsyncIterator[None]:
    """Hold the caller's turn at the sandbox for the length of the block.

    Raises CheckBusy, TooManyChecks, also where the sandbox cannot be used in the block.
    """
    try:
        async with resources.checks.turn(caller.tenant, weight=caller.weight):
            yield
    except UNCHECKED as error:
        raise cannot_check(error) from None


def cannot_check(error: Exception) -> CheckBusy | TooManyChecks:
    """Make the problem for what cannot be checked now.

    Why a sandbox died concerns the operator only, and goes to the log.
    """
    if isinstance(error, TenantQueueFull):
        return TooManyChecks(str(error), headers=_RETRY_AFTER)
    log.warning("check.unavailable", reason=str(error))
    if isinstance(error, SandboxUnavailable):
        return CheckBusy("no sandbox can be started at the moment", headers=_RETRY_AFTER)
    return CheckBusy(str(error), headers=_RETRY_AFTER)
