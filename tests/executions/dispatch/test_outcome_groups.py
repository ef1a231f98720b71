"""Outcomes that end while one is being recorded are recorded together, each with its own fence."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions.dispatch import claims
from app.executions.dispatch.completion import record_outcome
from app.executions.dispatch.outcome_groups import finish_several
from app.executions.model import Claim, Finish, Status
from app.lanes import MAX_SHARED_BYTES
from app.notifications import CHANNEL
from app.payloads.writer import stored_inline
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.support.queues import SUCCESS, Queues
from tests.support.submissions import wait_for_locks

# Rows that one statement wrote share its transaction's number.
COUNT_STATEMENTS = """
SELECT count(DISTINCT xmin::text) FROM executions WHERE finished_at IS NOT NULL
"""


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def record_together(
    queues: Queues, resources: Resources, outcomes: list[tuple[Claim, Finish]]
) -> None:
    """Record outcomes while the first of them waits for a lock on its row."""
    async with queues.pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", outcomes[0][0].id)
        recording = [
            asyncio.create_task(record_outcome(resources, *outcome)) for outcome in outcomes
        ]
        await wait_for_locks(queues.pool)
        await transaction.rollback()
    await asyncio.gather(*recording)


async def claimed(queues: Queues, count: int, *, tenants: int = 1) -> list[Claim]:
    for _ in range(tenants):
        await queues.accept(await queues.tenant(), count // tenants)
    return await queues.claim(count)


async def test_outcomes_behind_one_under_way_take_one_statement_and_one_notice(
    queues: Queues, resources: Resources
) -> None:
    held = await claimed(queues, 8)
    notices: list[str] = []
    async with queues.pool.acquire() as listener:
        await listener.add_listener(CHANNEL, lambda *heard: notices.append(str(heard[3])))
        outcomes = [
            (claim, replace(SUCCESS, result=stored_inline(b"%d" % n), run_ms=float(n)))
            for n, claim in enumerate(held)
        ]
        await record_together(queues, resources, outcomes)
        await listener.execute("SELECT true")
        await listener.remove_listener(CHANNEL, lambda *_: None)
        await listener.reset()

    assert await queues.pool.fetchval(COUNT_STATEMENTS) == 2
    assert len(notices) == 2
    for n, claim in enumerate(held):
        assert sum(str(claim.id) in notice for notice in notices) == 1
        row = await queues.pool.fetchrow(
            """
            SELECT e.status, e.run_ms, e.v8_version, p.body, p.tenant_id
            FROM executions AS e
            JOIN payloads AS p ON p.execution_id = e.id AND p.kind = 'result'
            WHERE e.id = $1
            """,
            claim.id,
        )
        assert row is not None
        assert tuple(row) == ("succeeded", float(n), "1", b"%d" % n, claim.tenant_id)


async def test_outcomes_one_by_one_take_a_statement_each(
    queues: Queues, resources: Resources
) -> None:
    for claim in await claimed(queues, 3):
        await record_outcome(resources, claim, SUCCESS)

    assert await queues.pool.fetchval(COUNT_STATEMENTS) == 3


@pytest.mark.parametrize("name", ["result", "logs", "error", "warnings"])
async def test_a_large_outcome_takes_a_statement_of_its_own(
    queues: Queues, resources: Resources, name: str
) -> None:
    held = await claimed(queues, 4)
    content = b"1" * (MAX_SHARED_BYTES + 1)
    if name in {"result", "logs"}:
        large = replace(SUCCESS, **{name: stored_inline(content)})
    elif name == "error":
        kind = ErrorKind.SCRIPT_ERROR
        large = replace(SUCCESS, status=Status.FAILED, error_kind=kind, error=content)
    else:
        large = replace(SUCCESS, warnings=content)
    outcomes = [(claim, SUCCESS) for claim in held]
    outcomes[2] = (held[2], large)

    await record_together(queues, resources, outcomes)

    assert await queues.pool.fetchval(COUNT_STATEMENTS) == 3


async def test_a_lost_claim_in_a_group_changes_nothing(
    queues: Queues, resources: Resources
) -> None:
    held = await claimed(queues, 5)
    await queues.cancel(held[2].tenant_id, held[2].id)
    failed = replace(SUCCESS, status=Status.FAILED, error_kind=ErrorKind.TIMEOUT, error=b"{}")
    outcomes = [(claim, SUCCESS) for claim in held]
    outcomes[3] = (held[3], failed)

    await record_together(queues, resources, outcomes)

    statuses = [await queues.status(claim.id) for claim in held]
    assert statuses == ["succeeded", "succeeded", "cancelled", "failed", "succeeded"]


async def test_an_old_claim_of_an_execution_does_not_pass_for_its_new_one(
    queues: Queues, pool: Pool
) -> None:
    [old] = await claimed(queues, 1)
    await queues.release(old)
    [new] = await queues.claim(1)
    other = (await claimed(queues, 1))[0]

    outcomes = [
        (claim, replace(SUCCESS, run_ms=float(n), result=stored_inline(b"%d" % n)))
        for n, claim in enumerate((old, new, other))
    ]

    async with pool.acquire() as conn:
        recorded = await finish_several(conn, outcomes)

    assert [each is not None for each in recorded] == [False, True, True]
    row = await pool.fetchrow(
        """
        SELECT e.run_ms, p.body
        FROM executions AS e JOIN payloads AS p ON p.execution_id = e.id AND p.kind = 'result'
        WHERE e.id = $1
        """,
        new.id,
    )
    assert row is not None
    assert tuple(row) == (1.0, b"1")


async def test_a_group_over_a_quota_is_recorded_one_by_one(
    queues: Queues, resources: Resources
) -> None:
    held = await claimed(queues, 6)
    await queues.pool.execute("UPDATE tenants SET max_stored_bytes = 2200")
    result = stored_inline(b"1" * 700)

    await record_together(
        queues, resources, [(claim, replace(SUCCESS, result=result)) for claim in held]
    )

    ends = [await queues.status(claim.id) for claim in held]
    assert sorted(ends) == ["failed"] * 3 + ["succeeded"] * 3


async def test_a_group_and_a_renewal_never_deadlock(queues: Queues, pool: Pool) -> None:
    held = await claimed(queues, 16)

    async def renew() -> set[int]:
        async with pool.acquire() as conn:
            return await claims.renew(conn, held[::-1], lease_seconds=60)

    async with pool.acquire() as blocker, pool.acquire() as conn:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM executions WHERE id = $1 FOR UPDATE", held[8].id)
        renewing = asyncio.create_task(renew())
        await wait_for_locks(pool)
        recording = asyncio.create_task(finish_several(conn, [(claim, SUCCESS) for claim in held]))
        await wait_for_locks(pool, 2)
        await transaction.rollback()
        renewed, recorded = await asyncio.gather(renewing, recording)

    assert len(renewed) == len([each for each in recorded if each is not None]) == 16
