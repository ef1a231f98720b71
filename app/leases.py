"""Hold a lease for the length of a block, which ends before another worker may hold it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from app.background import background, retry_forever
from app.errors import CrivoError
from app.outages import DatabaseUnavailable

_BEATS_OF_A_LEASE: Final = 4
# A renewal may also tell how far work has come, and whether it is to go on.
_LONGEST_BEAT_SECONDS: Final = 1.0


@asynccontextmanager
async def leased(
    renew: Callable[[], Awaitable[bool]],
    *,
    lease_seconds: float,
    until: float,
    lost: CrivoError,
    name: str,
) -> AsyncIterator[None]:
    """Renew a lease while a block runs, which ends as soon as the lease may have run out.

    `until`: when it runs out without a renewal, by the event loop's clock. `renew` returns whether
    the lease is still held; its failures but for outages are logged with the `name` of the lease.
    Raises `lost`: another worker may do the same from then on. Raises DatabaseUnavailable if it
    could not be renewed for that reason.
    """
    time = asyncio.get_running_loop().time
    outage: DatabaseUnavailable | None = None

    async def beat() -> None:
        await asyncio.sleep(min(lease_seconds / _BEATS_OF_A_LEASE, _LONGEST_BEAT_SECONDS))
        nonlocal outage
        before = time()
        outage = DatabaseUnavailable(reason="it has not answered a renewal")
        try:
            is_held = await renew()
        except Exception as error:
            outage = error if isinstance(error, DatabaseUnavailable) else None
            raise
        outage = None
        if not limit.expired():
            limit.reschedule(before + lease_seconds if is_held else time())

    limit = asyncio.timeout_at(until)
    beats = retry_forever("lease.renewal_failed", beat, pause_seconds=0.0, lease=name)
    try:
        async with limit, background(beats):
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise outage or lost from None
