"""The queue's statements against a real PostgreSQL: leases, fencing tokens, sweeps."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions import acceptance, erasure, store
from app.executions.dispatch import claims
from app.executions.dispatch.completion import Ended
from app.executions.model import Claim, Finish, LimitPolicy, Limits, PayloadKind, Status
from app.executions.payloads import stored_inline
from app.http.access import Caps
from app.scripts import store as scripts
from app.scripts.model import LimitChoice
from app.scripts.refs import ScriptRef
from app.tenants.model import DEFAULT_TENANT as TENANT

LIMITS = Limits(wall_ms=1_000, max_cpu_ms=1_000, memory_bytes=2**26, max_output_bytes=1_000)
POLICY = LimitPolicy(default_wall_ms=1_000, default_memory_bytes=2**26, most=LIMITS)
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
SUCCESS = Finish(
    status=Status.SUCCEEDED,
    error_kind=None,
    error=None,
    v8_version="1",
    run_ms=1.0,
    cpu_ms=1.0,
    peak_memory_bytes=1,
    result=stored_inline(b"[1]"),
    logs=None,
)


@pytest.fixture
async def script(pool: Pool) -> UUID:
    script_id = uuid.uuid7()
    async with pool.acquire() as conn:
        await scripts.insert_script(conn, TENANT, script_id, name="queued", description="")
        await scripts.insert_version(
            conn, TENANT, script_id, source=b"x", limits=LimitChoice(), note=""
        )
    return script_id


async def _accept(pool: Pool, script: UUID, count: int = 1) -> list[UUID]:
    ids = [uuid.uuid7() for _ in range(count)]
    async with pool.acquire() as conn:
        for execution_id in ids:
            await acceptance.insert_execution(
                conn,
                TENANT,
                execution_id,
                ref=ScriptRef(script=script, selector=1),
                chosen=LimitChoice(),
                policy=POLICY,
                seed=1,
                labels={},
                payload=stored_inline(b"1"),
                caps=Caps(),
            )
    return ids


async def _claim(pool: Pool, most: int = 1, lease_seconds: float = 60) -> list[Claim]:
    async with pool.acquire() as conn:
        claimed = await claims.claim(conn, uuid.uuid7(), most=most, lease_seconds=lease_seconds)
    return claimed.executions


async def _finish(pool: Pool, held: Claim, finish: Finish = SUCCESS) -> Ended | None:
    async with pool.acquire() as conn:
        return await claims.finish(conn, held, finish)


async def _sweep(pool: Pool, max_attempts: int = 3) -> list[claims.Rescued]:
    async with pool.acquire() as conn:
        return await claims.sweep(conn, max_attempts=max_attempts, error=b"{}")


async def _status(pool: Pool, execution_id: UUID) -> Status | None:
    async with pool.acquire() as conn:
        return await store.select_status(conn, TENANT, execution_id)


async def test_the_oldest_are_claimed_first_with_all_they_need(pool: Pool, script: UUID) -> None:
    ids = await _accept(pool, script, 3)

    first, second = await _claim(pool, most=2)

    assert [first.id, second.id] == ids[:2]
    assert (first.source, first.input.body, first.limits) == (b"x", b"1", LIMITS)
    assert first.attempts == 1
    assert second.lease_token != first.lease_token
    assert [held.id for held in await _claim(pool, most=2)] == ids[2:]


async def test_workers_that_claim_at_once_never_share_an_execution(
    pool: Pool, script: UUID
) -> None:
    ids = await _accept(pool, script, 40)

    rounds = await asyncio.gather(*(_claim(pool, most=7) for _ in range(8)))

    claimed = [held.id for batch in rounds for held in batch]
    assert len(claimed) == len(set(claimed))
    while batch := await _claim(pool, most=7):
        claimed += [held.id for held in batch]
    assert sorted(claimed) == sorted(ids)


async def test_a_finish_is_recorded_once_and_may_be_repeated(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [held] = await _claim(pool)

    ended = await _finish(pool, held)
    again = await _finish(pool, held)

    assert ended is not None
    assert again == ended
    async with pool.acquire() as conn:
        kept = await erasure.select_kept(conn, TENANT, execution_id, PayloadKind.RESULT)
    assert kept is not None
    assert kept.payload == SUCCESS.result


async def test_overlapping_reports_of_one_claim_are_both_told_that_it_is_recorded(
    pool: Pool, script: UUID
) -> None:
    """The first report's connection may break while the server still works on it."""
    await _accept(pool, script)
    [held] = await _claim(pool)
    async with pool.acquire() as blocker:
        block = blocker.transaction()
        await block.start()
        await blocker.execute("SELECT FROM executions FOR UPDATE")
        reports = [asyncio.create_task(_finish(pool, held)) for _ in range(2)]
        # Not on the blocker: its transaction sees one moment of the statistics.
        while await pool.fetchval(WAITING) < 2:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)
        await block.rollback()

    assert None not in await asyncio.gather(*reports)


async def test_a_late_report_changes_nothing(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [late] = await _claim(pool, lease_seconds=0)
    assert [swept.status for swept in await _sweep(pool)] == ["queued"]

    assert await _finish(pool, late) is None
    assert await _status(pool, execution_id) is Status.QUEUED

    [held] = await _claim(pool)
    assert await _finish(pool, late) is None
    assert held.attempts == 2
    assert await _finish(pool, held) is not None
    assert await _finish(pool, late) is None


async def test_renewing_says_which_leases_are_gone(pool: Pool, script: UUID) -> None:
    await _accept(pool, script, 3)
    [kept, finished] = await _claim(pool, most=2)
    [lost] = await _claim(pool, lease_seconds=0)
    await _finish(pool, finished)
    await _sweep(pool)

    async with pool.acquire() as conn:
        still = await claims.renew(conn, [kept, finished, lost], lease_seconds=60)

    assert still == {kept.lease_token}


async def test_a_renewed_lease_is_not_swept(pool: Pool, script: UUID) -> None:
    await _accept(pool, script)
    [held] = await _claim(pool, lease_seconds=0)
    async with pool.acquire() as conn:
        await claims.renew(conn, [held], lease_seconds=60)

    assert await _sweep(pool) == []


async def test_used_up_attempts_end_as_worker_lost(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    for _ in range(2):
        await _claim(pool, lease_seconds=0)
        await _sweep(pool, max_attempts=3)
    await _claim(pool, lease_seconds=0)

    assert [swept.status for swept in await _sweep(pool, max_attempts=3)] == ["failed"]

    async with pool.acquire() as conn:
        execution = await store.select_execution(conn, TENANT, execution_id)
    assert execution is not None
    assert execution.status is Status.FAILED
    assert execution.receipt
    assert execution.receipt.attempts == 3


async def test_what_is_handed_back_does_not_count_as_an_attempt(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [held] = await _claim(pool)
    async with pool.acquire() as conn:
        await claims.release(conn, held)

    assert await _status(pool, execution_id) is Status.QUEUED
    [again] = await _claim(pool)
    assert again.attempts == 1
    assert await _finish(pool, held) is None


async def test_a_failure_keeps_its_error_byte_for_byte(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [held] = await _claim(pool)
    error = b'{"kind":"script_error","message":"\\u0000\\ud800"}'
    failure = Finish(
        status=Status.FAILED,
        error_kind=ErrorKind.SCRIPT_ERROR,
        error=error,
        v8_version="1",
        run_ms=1.0,
        cpu_ms=1.0,
        peak_memory_bytes=1,
        result=None,
        logs=stored_inline(b"{}"),
    )

    await _finish(pool, held, failure)

    async with pool.acquire() as conn:
        execution = await store.select_execution(conn, TENANT, execution_id)
    assert execution is not None
    assert execution.error
    assert bytes(execution.error) == error


async def test_the_database_itself_refuses_to_change_a_version(pool: Pool, script: UUID) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="immutable"):
        await pool.execute("UPDATE script_versions SET source = 'y' WHERE script_id = $1", script)


async def test_another_tenant_sees_nothing(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    stranger = uuid.uuid7()

    async with pool.acquire() as conn:
        assert await store.select_execution(conn, stranger, execution_id) is None
        assert await store.select_status(conn, stranger, execution_id) is None
        assert await erasure.select_kept(conn, stranger, execution_id, PayloadKind.INPUT) is None
        assert await scripts.select_script(conn, stranger, script) is None
        assert await scripts.select_source(conn, stranger, script, 1) is None


async def test_what_a_suspended_tenant_has_queued_waits(pool: Pool, script: UUID) -> None:
    ids = await _accept(pool, script, 2)
    await pool.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", TENANT)

    waiting = await _claim(pool, most=2)
    await pool.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", TENANT)

    assert waiting == []
    assert [held.id for held in await _claim(pool, most=2)] == ids
