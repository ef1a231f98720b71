"""Bound how long a re-drive waits for what does not answer, with its lease in hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.redrives.trouble import MustWait

# Of a step: with what it waits for, such as its turns, it takes a small part of this.
STEP_SECONDS: Final = 60.0
# Of a batch, all of it: beyond what its steps and its transaction may take.
BATCH_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 10.0


@asynccontextmanager
async def deadline(what: str, *, seconds: float) -> AsyncIterator[None]:
    """Cancel a block after `seconds`, which says `what` has not been done. Raises MustWait."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise MustWait(f"{what} within {seconds:g} s", seconds=_PAUSE_SECONDS) from None
