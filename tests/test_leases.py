"""A block under a lease ends once another worker may hold the lease, and says why."""

import asyncio
from collections.abc import Sequence

import pytest

from app.errors import CrivoError
from app.leases import leased
from app.outages import DatabaseUnavailable

LEASE_SECONDS = 1.0


class _Lost(CrivoError):
    """What the caller takes for a lost lease."""


class _Lease:
    """Stands in for a row: `answers` are those of renewals, the last one of all further ones."""

    def __init__(self, answers: Sequence[bool | Exception]) -> None:
        self._answers = answers
        self.asked = 0

    async def renew(self) -> bool:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _work(lease: _Lease, *, until_asked: int = 1_000) -> None:
    until = asyncio.get_running_loop().time() + LEASE_SECONDS
    async with leased(
        lease.renew,
        lease_seconds=LEASE_SECONDS,
        until=until,
        lost=_Lost("it is gone"),
        name="work",
    ):
        while lease.asked < until_asked:  # noqa: ASYNC110 - the work
            await asyncio.sleep(0.01)


async def test_a_block_goes_on_while_its_lease_is_renewed() -> None:
    lease = _Lease([True])

    await _work(lease, until_asked=5)

    assert lease.asked >= 5


async def test_a_block_ends_with_the_renewal_that_finds_the_lease_lost() -> None:
    lease = _Lease([True, False])

    with pytest.raises(_Lost):
        await _work(lease)

    assert lease.asked == 2


async def test_a_lease_that_runs_out_in_an_outage_is_an_outage() -> None:
    outage = DatabaseUnavailable(reason="it is away")

    with pytest.raises(DatabaseUnavailable) as caught:
        await _work(_Lease([outage]))

    assert caught.value is outage


async def test_a_lease_that_runs_out_for_another_reason_is_lost() -> None:
    with pytest.raises(_Lost):
        await _work(_Lease([OSError("of renewals")]))


async def test_a_timeout_of_the_block_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="of the block"):
        async with leased(
            _Lease([True]).renew,
            lease_seconds=60,
            until=asyncio.get_running_loop().time() + 60,
            lost=_Lost("it is gone"),
            name="work",
        ):
            raise TimeoutError("of the block")
