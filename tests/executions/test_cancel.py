"""An acknowledged cancel wins, whatever else happens to the execution in that moment."""

import asyncio
from uuid import UUID

import pytest

from app.db import Pool
from app.executions.dispatch import claims
from app.executions.model import Claim, Status
from tests.acceptance.system import System, until
from tests.executions.queues import Queues
from tests.servers import execute

FOREVER = "function process(_) { for (;;); }"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


async def _running(queues: Queues, *, lease_seconds: float = 60) -> Claim:
    tenant = await queues.tenant()
    await queues.accept(tenant)
    [held] = await queues.claim(1, lease_seconds=lease_seconds)
    return held


async def test_what_is_queued_is_cancelled_and_never_claimed(queues: Queues) -> None:
    tenant = await queues.tenant()
    [first, second] = await queues.accept(tenant, 2)

    assert await queues.cancel(tenant, first) is Status.QUEUED

    assert [held.id for held in await queues.claim(5)] == [second]
    assert await queues.cancel(tenant, first) is None
    await queues.require_true()


async def test_after_a_cancel_no_report_is_taken_but_of_what_was_used(queues: Queues) -> None:
    held = await _running(queues)

    assert await queues.cancel(held.tenant_id, held.id) is Status.RUNNING

    assert await queues.finish(held) is None
    assert await queues.release(held) is False
    assert await queues.sweep() == []
    async with queues.pool.acquire() as conn:
        assert await claims.renew(conn, [held], lease_seconds=60) == set()
        await claims.report_usage(conn, held, run_ms=12.5, cpu_ms=3.0)
    row = await queues.pool.fetchrow("SELECT * FROM executions WHERE id = $1", held.id)
    assert row is not None
    assert (row["status"], row["run_ms"], row["cpu_ms"]) == ("cancelled", 12.5, 3.0)


async def test_only_the_cancelled_claim_says_what_it_used(queues: Queues) -> None:
    lost = await _running(queues, lease_seconds=0)
    await queues.sweep()
    [held] = await queues.claim(1)
    await queues.cancel(held.tenant_id, held.id)

    async with queues.pool.acquire() as conn:
        await claims.report_usage(conn, lost, run_ms=12.5)

    assert await queues.pool.fetchval("SELECT run_ms FROM executions") is None


async def test_a_finish_that_came_first_stays(queues: Queues) -> None:
    held = await _running(queues)
    await queues.finish(held)

    assert await queues.cancel(held.tenant_id, held.id) is None
    assert await queues.status(held.id) is Status.SUCCEEDED


async def test_another_tenant_cancels_nothing(queues: Queues) -> None:
    held = await _running(queues)

    assert await queues.cancel(await queues.tenant(), held.id) is None
    assert await queues.status(held.id) is Status.RUNNING


@pytest.mark.parametrize("rival", ["finish", "hand_back", "sweep"])
async def test_of_a_cancel_and_another_end_exactly_one_wins(queues: Queues, rival: str) -> None:
    for number in range(20):
        held = await _running(queues, lease_seconds=0 if rival == "sweep" else 60)
        # Both wait for the row; the server decides who is first.
        async with queues.pool.acquire() as blocker:
            block = blocker.transaction()
            await block.start()
            await blocker.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", held.id)
            calls = [queues.cancel(held.tenant_id, held.id), _rival(queues, rival, held)]
            tasks = [asyncio.create_task(call) for call in calls[:: 1 if number % 2 else -1]]
            if rival != "sweep":
                while await queues.pool.fetchval(WAITING) < 2:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.001)
            await block.rollback()
        done = await asyncio.gather(*tasks)
        cancelled, other = done[:: 1 if number % 2 else -1]

        status = await queues.status(held.id)
        if cancelled is None:
            assert (other, status) == (True, Status.SUCCEEDED)
        else:
            assert status is Status.CANCELLED
            # It may have been queued again just before it was cancelled.
            assert other is (cancelled is Status.QUEUED)
        assert await queues.claim(1) == []
        await queues.require_true()


async def test_claims_pass_over_what_is_being_cancelled(queues: Queues) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 20)

    async def claim_all() -> list[UUID]:
        found: list[UUID] = []
        while await queues.pool.fetchval("SELECT EXISTS (SELECT FROM queue)"):
            found += [held.id for held in await queues.claim(3)]
        return found

    claims_of_all = asyncio.create_task(claim_all())
    cancelled = await asyncio.gather(*(queues.cancel(tenant, each) for each in ids))
    claimed = await claims_of_all

    # Each was cancelled, before it was claimed or after.
    assert set(cancelled) <= {Status.QUEUED, Status.RUNNING}
    running = [each for each, was in zip(ids, cancelled, strict=True) if was is Status.RUNNING]
    assert sorted(running) == sorted(claimed)
    assert await queues.claim(20) == []
    await queues.require_true()


def test_a_cancel_reaches_what_runs_and_frees_its_slot(stopped_system: System) -> None:
    system = stopped_system
    # Leases alone would take a quarter of an hour to tell.
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
    for _ in until("the worker has said what it used"):
        receipt = system.client.get(location).json()["receipt"]
        if receipt["run_ms"] is not None:
            break
    assert receipt["cpu_ms"] > 0
    assert receipt["peak_memory_bytes"] > 0
    assert system.client.get(location).json()["status"] == "cancelled"


def test_a_worker_that_heard_nothing_learns_it_from_its_lease(stopped_system: System) -> None:
    system = stopped_system
    system.environ |= {"CRIVO_WORKER_SLOTS": "1"}
    system.start()
    system.upload("forever", FOREVER)
    system.upload("echo", "const process = d => d")
    location = system.submit("forever", b"1", wall_ms=300_000)
    _await_status(system, location, "running")

    # As a cancel whose notice is lost.
    execute(
        system.environ["DATABASE_URL"],
        "UPDATE executions SET status = 'cancelled', finished_at = now(), "
        "lease_token = -lease_token, lease_expires_at = NULL",
    )

    assert system.run("echo", b"1")["result"] == 1


def test_a_cancel_answers_by_what_it_finds(system: System) -> None:
    system.upload("cancels", "const process = d => d")
    location = system.submit("cancels", b"1")
    system.finished(location)

    finished = system.client.post(f"{location}/cancel")
    unknown = system.client.post("/executions/01a1fbeb-e362-742d-9594-29c5a8afd450/cancel")

    assert (finished.status_code, unknown.status_code) == (409, 404)
    assert finished.json()["type"] == "urn:crivo:problem:already-finished"


def test_a_queued_execution_says_why_it_waits(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("waits", "const process = d => d")
    first, low, high = (system.submit("waits", b"1", priority=priority) for priority in (0, -1, 5))

    def waiting(location: str) -> tuple[int, str]:
        found = system.client.get(location).json()["waiting"]
        return found["position"], found["reason"]

    assert [waiting(each) for each in (high, first, low)] == [
        (number, "no_worker") for number in (1, 2, 3)
    ]
    # A worker that is alive and takes nothing.
    execute(
        system.environ["DATABASE_URL"],
        "INSERT INTO workers (id, host, pid, slots, v8_version, lockdown) "
        "VALUES (gen_random_uuid(), 'h', 1, 1, '1', '{}')",
    )
    assert [waiting(each) for each in (high, first)] == [(1, "next"), (2, "own_queue")]

    answer = system.client.post(f"{high}/cancel")
    again = system.client.post(f"{high}/cancel")

    assert (answer.status_code, answer.json()) == (200, again.json())
    assert answer.json()["receipt"]["started_at"] is None
    assert waiting(first) == (1, "next")


def test_no_more_is_queued_in_all_than_may_be(stopped_system: System) -> None:
    system = stopped_system
    system.environ["CRIVO_MAX_QUEUED"] = "3"
    system.start_api()
    system.await_api()
    system.upload("bounded", "const process = d => d")

    answers = [system.client.post("/scripts/bounded/executions", content=b"1") for _ in range(5)]

    assert [each.status_code for each in answers] == [202, 202, 202, 503, 503]
    assert answers[-1].json()["type"] == "urn:crivo:problem:queue-full"
    assert answers[-1].headers["Retry-After"] == "5"
    # Once there is room again, it is found out.
    system.start_worker()
    for _ in until("a submission is taken again"):
        if system.client.post("/scripts/bounded/executions", content=b"1").status_code == 202:
            break


def _await_status(system: System, location: str, status: str) -> None:
    for _ in until(f"{location} is {status}"):
        if system.client.get(location).json()["status"] == status:
            return


async def _rival(queues: Queues, rival: str, held: Claim) -> bool:
    match rival:
        case "finish":
            return await queues.finish(held) is not None
        case "hand_back":
            return await queues.release(held)
        case _:
            return bool(await queues.sweep())
