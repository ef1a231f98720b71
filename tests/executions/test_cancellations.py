"""An acknowledged cancel wins, whatever else happens to the execution at that moment."""

import asyncio
from uuid import UUID

import pytest

from app.db import Pool
from app.executions.dispatch import claims
from app.executions.model import Claim, Status
from tests.support.queues import Queues
from tests.support.servers import execute
from tests.support.system import System, until

FOREVER = "function process(_) { for (;;); }"
COUNT_LOCK_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


async def _claim(queues: Queues, *, lease_seconds: float = 60) -> Claim:
    tenant = await queues.tenant()
    await queues.accept(tenant)
    [claim] = await queues.claim(1, lease_seconds=lease_seconds)
    return claim


async def test_a_cancelled_queued_execution_is_never_claimed(queues: Queues) -> None:
    tenant = await queues.tenant()
    [first, second] = await queues.accept(tenant, 2)

    assert await queues.cancel(tenant, first) is Status.QUEUED

    assert [claim.id for claim in await queues.claim(5)] == [second]
    assert await queues.cancel(tenant, first) is None
    await queues.require_consistent()


async def test_after_a_cancel_only_a_report_of_usage_is_accepted(queues: Queues) -> None:
    claim = await _claim(queues)

    assert await queues.cancel(claim.tenant_id, claim.id) is Status.RUNNING

    assert await queues.finish(claim) is None
    assert await queues.release(claim) is False
    assert await queues.rescue() == []
    async with queues.pool.acquire() as conn:
        assert await claims.renew(conn, [claim], lease_seconds=60) == set()
        await claims.report_usage(conn, claim, run_ms=12.5, cpu_ms=3.0)
    row = await queues.pool.fetchrow("SELECT * FROM executions WHERE id = $1", claim.id)
    assert row is not None
    assert (row["status"], row["run_ms"], row["cpu_ms"]) == ("cancelled", 12.5, 3.0)


async def test_only_the_cancelled_claim_reports_its_usage(queues: Queues) -> None:
    lost = await _claim(queues, lease_seconds=0)
    await queues.rescue()
    [claim] = await queues.claim(1)
    await queues.cancel(claim.tenant_id, claim.id)

    async with queues.pool.acquire() as conn:
        await claims.report_usage(conn, lost, run_ms=12.5)

    assert await queues.pool.fetchval("SELECT run_ms FROM executions") is None


async def test_a_cancel_after_a_finish_changes_nothing(queues: Queues) -> None:
    claim = await _claim(queues)
    await queues.finish(claim)

    assert await queues.cancel(claim.tenant_id, claim.id) is None
    assert await queues.status(claim.id) is Status.SUCCEEDED


async def test_another_tenant_cannot_cancel(queues: Queues) -> None:
    claim = await _claim(queues)

    assert await queues.cancel(await queues.tenant(), claim.id) is None
    assert await queues.status(claim.id) is Status.RUNNING


@pytest.mark.parametrize("rival", ["finish", "release", "rescue"])
async def test_exactly_one_of_a_cancel_and_a_rival_wins(queues: Queues, rival: str) -> None:
    for number in range(20):
        claim = await _claim(queues, lease_seconds=0 if rival == "rescue" else 60)
        # Both wait for the row's lock; the server decides which is first.
        async with queues.pool.acquire() as blocker:
            block = blocker.transaction()
            await block.start()
            await blocker.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", claim.id)
            calls = [queues.cancel(claim.tenant_id, claim.id), _rival(queues, rival, claim)]
            tasks = [asyncio.create_task(call) for call in calls[:: 1 if number % 2 else -1]]
            if rival != "rescue":
                while await queues.pool.fetchval(COUNT_LOCK_WAITS) < 2:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.001)
            await block.rollback()
        done = await asyncio.gather(*tasks)
        cancelled, other = done[:: 1 if number % 2 else -1]

        status = await queues.status(claim.id)
        if cancelled is None:
            assert (other, status) == (True, Status.SUCCEEDED)
        else:
            assert status is Status.CANCELLED
            # The rival may have queued it again just before the cancel.
            assert other is (cancelled is Status.QUEUED)
        assert await queues.claim(1) == []
        await queues.require_consistent()


async def test_claims_skip_executions_that_are_being_cancelled(queues: Queues) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 20)

    async def claim_all() -> list[UUID]:
        found: list[UUID] = []
        while await queues.pool.fetchval("SELECT EXISTS (SELECT FROM queue)"):
            found += [claim.id for claim in await queues.claim(3)]
        return found

    claims_of_all = asyncio.create_task(claim_all())
    cancelled = await asyncio.gather(*(queues.cancel(tenant, each) for each in ids))
    claimed = await claims_of_all

    # Each was cancelled, either before it was claimed or after.
    assert set(cancelled) <= {Status.QUEUED, Status.RUNNING}
    running = [each for each, was in zip(ids, cancelled, strict=True) if was is Status.RUNNING]
    assert sorted(running) == sorted(claimed)
    assert await queues.claim(20) == []
    await queues.require_consistent()


def test_a_cancel_stops_a_running_execution_and_frees_its_slot(stopped_system: System) -> None:
    system = stopped_system
    # Lease renewals alone would show the cancel after a quarter of an hour.
    system.environ |= {"CRIVO_WORKER_SLOTS": "1", "CRIVO_LEASE_SECONDS": "3600"}
    system.start()
    system.upload("forever", FOREVER)
    system.upload("echo", "const process = d => d")
    location = system.submit("forever", b"1", wall_ms=300_000)
    _await_status(system, location, "running")

    answer = system.client.post(f"{location}/cancel")

    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["receipt"]["attempts"] == 1
    assert system.run("echo", b"1")["result"] == 1
    receipt = answer.json()["receipt"]
    for _ in until("the worker has reported its usage"):
        receipt = system.client.get(location).json()["receipt"]
        if receipt["run_ms"] is not None:
            break
    assert receipt["cpu_ms"] > 0
    assert receipt["peak_memory_bytes"] > 0
    assert system.client.get(location).json()["status"] == "cancelled"


def test_a_worker_that_was_not_notified_notices_at_its_next_renewal(stopped_system: System) -> None:
    system = stopped_system
    system.environ |= {"CRIVO_WORKER_SLOTS": "1"}
    system.start()
    system.upload("forever", FOREVER)
    system.upload("echo", "const process = d => d")
    location = system.submit("forever", b"1", wall_ms=300_000)
    _await_status(system, location, "running")

    # As if the notification of the cancel were lost.
    execute(
        system.environ["DATABASE_URL"],
        "UPDATE executions SET status = 'cancelled', finished_at = now(), "
        "lease_token = -lease_token, lease_expires_at = NULL",
    )

    assert system.run("echo", b"1")["result"] == 1


def test_cancelling_a_finished_or_unknown_execution_is_refused(system: System) -> None:
    system.upload("cancels", "const process = d => d")
    location = system.submit("cancels", b"1")
    system.finished(location)

    finished = system.client.post(f"{location}/cancel")
    unknown = system.client.post("/executions/01a1fbeb-e362-742d-9594-29c5a8afd450/cancel")

    assert (finished.status_code, unknown.status_code) == (409, 404)
    assert finished.json()["type"] == "urn:crivo:problem:already-finished"


def _await_status(system: System, location: str, status: str) -> None:
    for _ in until(f"{location} is {status}"):
        if system.client.get(location).json()["status"] == status:
            return


async def _rival(queues: Queues, rival: str, claim: Claim) -> bool:
    match rival:
        case "finish":
            return await queues.finish(claim) is not None
        case "release":
            return await queues.release(claim)
        case _:
            return bool(await queues.rescue())
