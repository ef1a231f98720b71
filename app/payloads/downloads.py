"""Send streams of bytes to slow clients, without holding much for each tenant."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from app.http.authorization import caller_of
from app.http.bodies import AnyRequest
from app.http.reauthorization import closed_with
from app.limits import KIB
from app.payloads.reader import begin
from app.quotas.turns import TenantTurns

# What waits to be sent is held beside the chunk that it is from.
_PIECE_BYTES: Final = 64 * KIB


async def begin_download(
    request: AnyRequest, chunks: AsyncGenerator[bytes, None]
) -> AsyncIterator[bytes]:
    """Read the first chunk once the tenant has a turn, the others on demand.

    The turn and the reading end with the request at the latest. Raises at once what the first chunk
    raises.
    """
    turns: TenantTurns = request.app.state.download_turns
    return await begin(in_turn(request, turns, chunks))


def in_turn(
    request: AnyRequest, turns: TenantTurns, chunks: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield chunks, in pieces, while the tenant has a turn, which ends with the request."""

    async def held() -> AsyncGenerator[bytes, None]:
        async with turns.turn(caller_of(request).tenant), aclosing(chunks):
            async for chunk in chunks:
                for start in range(0, len(chunk), _PIECE_BYTES):
                    yield chunk[start : start + _PIECE_BYTES]

    return closed_with(request, held())
