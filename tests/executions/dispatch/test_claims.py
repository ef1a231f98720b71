"""Claims, leases, fencing tokens and rescues hold on a real PostgreSQL."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions import acceptance, payload_store, store
from app.executions.dispatch import claims
from app.executions.dispatch.completion_report import CompletedExecution
from app.executions.model import Claim, Finish, PayloadKind, Status
from app.limits import LimitChoice, LimitPolicy, Limits
from app.payloads.writer import stored_inline
from app.quotas.model import Caps
from app.sandbox.protocol import Isolation
from app.scripts import store as scripts
from app.scripts.refs import ScriptRef
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.support.queues import SUCCESS as WITHOUT_RESULT

LIMITS = Limits(wall_ms=1_000, max_cpu_ms=1_000, memory_bytes=2**26, max_output_bytes=1_000)
POLICY = LimitPolicy(default_wall_ms=1_000, default_memory_bytes=2**26, ceilings=LIMITS)
COUNT_LOCK_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
SUCCESS = replace(WITHOUT_RESULT, result=stored_inline(b"[1]"))


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


async def _claim(pool: Pool, limit: int = 1, lease_seconds: float = 60) -> list[Claim]:
    async with pool.acquire() as conn:
        claimed = await claims.claim(conn, uuid.uuid7(), limit=limit, lease_seconds=lease_seconds)
    return claimed.executions


async def _finish(pool: Pool, claim: Claim, finish: Finish = SUCCESS) -> CompletedExecution | None:
    async with pool.acquire() as conn:
        return await claims.finish(conn, claim, finish)


async def _rescue(pool: Pool, max_attempts: int = 3) -> list[claims.Rescued]:
    async with pool.acquire() as conn:
        return await claims.rescue_expired(conn, max_attempts=max_attempts, error=b"{}")


async def _status(pool: Pool, execution_id: UUID) -> Status | None:
    async with pool.acquire() as conn:
        return await store.select_status(conn, TENANT, execution_id)


async def test_the_oldest_are_claimed_first_with_all_they_need_to_run(
    pool: Pool, script: UUID
) -> None:
    ids = await _accept(pool, script, 3)

    first, second = await _claim(pool, limit=2)

    assert [first.id, second.id] == ids[:2]
    assert (first.source, first.input.body, first.limits) == (b"x", b"1", LIMITS)
    assert first.attempts == 1
    assert second.lease_token != first.lease_token
    assert [claim.id for claim in await _claim(pool, limit=2)] == ids[2:]


async def test_workers_that_claim_at_once_never_share_an_execution(
    pool: Pool, script: UUID
) -> None:
    ids = await _accept(pool, script, 40)

    rounds = await asyncio.gather(*(_claim(pool, limit=7) for _ in range(8)))

    claimed = [claim.id for batch in rounds for claim in batch]
    assert len(claimed) == len(set(claimed))
    while batch := await _claim(pool, limit=7):
        claimed += [claim.id for claim in batch]
    assert sorted(claimed) == sorted(ids)


async def test_a_finish_is_recorded_once_and_can_be_repeated(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [claim] = await _claim(pool)

    completed = await _finish(pool, claim)
    repeated = await _finish(pool, claim)

    assert completed is not None
    assert repeated == completed
    async with pool.acquire() as conn:
        stored = await payload_store.select_payload(conn, TENANT, execution_id, PayloadKind.RESULT)
    assert stored is not None
    assert stored.payload == SUCCESS.result


async def test_overlapping_reports_of_one_claim_both_succeed(pool: Pool, script: UUID) -> None:
    """The connection of the first report may break while the server still processes it."""
    await _accept(pool, script)
    [claim] = await _claim(pool)
    async with pool.acquire() as blocker:
        block = blocker.transaction()
        await block.start()
        await blocker.execute("SELECT FROM executions FOR UPDATE")
        reports = [asyncio.create_task(_finish(pool, claim)) for _ in range(2)]
        # Not on the blocker: its transaction has a single snapshot of the statistics.
        while await pool.fetchval(COUNT_LOCK_WAITS) < 2:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)
        await block.rollback()

    assert None not in await asyncio.gather(*reports)


async def test_a_late_report_changes_nothing(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [late] = await _claim(pool, lease_seconds=0)
    assert [rescued.status for rescued in await _rescue(pool)] == ["queued"]

    assert await _finish(pool, late) is None
    assert await _status(pool, execution_id) is Status.QUEUED

    [claim] = await _claim(pool)
    assert await _finish(pool, late) is None
    assert claim.attempts == 2
    assert await _finish(pool, claim) is not None
    assert await _finish(pool, late) is None


async def test_renewing_returns_only_the_leases_that_are_still_held(
    pool: Pool, script: UUID
) -> None:
    await _accept(pool, script, 3)
    [kept, finished] = await _claim(pool, limit=2)
    [lost] = await _claim(pool, lease_seconds=0)
    await _finish(pool, finished)
    await _rescue(pool)

    async with pool.acquire() as conn:
        still = await claims.renew(conn, [kept, finished, lost], lease_seconds=60)

    assert still == {kept.lease_token}


async def test_a_renewed_lease_is_not_rescued(pool: Pool, script: UUID) -> None:
    await _accept(pool, script)
    [claim] = await _claim(pool, lease_seconds=0)
    async with pool.acquire() as conn:
        await claims.renew(conn, [claim], lease_seconds=60)

    assert await _rescue(pool) == []


async def test_an_execution_fails_as_worker_lost_after_its_last_attempt(
    pool: Pool, script: UUID
) -> None:
    [execution_id] = await _accept(pool, script)
    for _ in range(2):
        await _claim(pool, lease_seconds=0)
        await _rescue(pool, max_attempts=3)
    await _claim(pool, lease_seconds=0)

    assert [rescued.status for rescued in await _rescue(pool, max_attempts=3)] == ["failed"]

    async with pool.acquire() as conn:
        execution = await store.select_execution(conn, TENANT, execution_id)
    assert execution is not None
    assert execution.status is Status.FAILED
    assert execution.receipt
    assert execution.receipt.attempts == 3


async def test_a_released_claim_does_not_count_as_an_attempt(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [claim] = await _claim(pool)
    async with pool.acquire() as conn:
        await claims.release(conn, claim)

    assert await _status(pool, execution_id) is Status.QUEUED
    [again] = await _claim(pool)
    assert again.attempts == 1
    assert await _finish(pool, claim) is None


async def test_a_failure_stores_its_error_byte_for_byte(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    [claim] = await _claim(pool)
    error = b'{"kind":"script_error","message":"\\u0000\\ud800"}'
    failure = Finish(
        status=Status.FAILED,
        error_kind=ErrorKind.SCRIPT_ERROR,
        error=error,
        v8_version="1",
        isolation=Isolation.ISOLATE,
        run_ms=1.0,
        cpu_ms=1.0,
        peak_memory_bytes=1,
        result=None,
        logs=stored_inline(b"{}"),
    )

    await _finish(pool, claim, failure)

    async with pool.acquire() as conn:
        execution = await store.select_execution(conn, TENANT, execution_id)
    assert execution is not None
    assert execution.error
    assert bytes(execution.error) == error


async def test_the_database_refuses_to_change_a_version(pool: Pool, script: UUID) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="immutable"):
        await pool.execute("UPDATE script_versions SET source = 'y' WHERE script_id = $1", script)


async def test_another_tenant_sees_nothing(pool: Pool, script: UUID) -> None:
    [execution_id] = await _accept(pool, script)
    stranger = uuid.uuid7()

    async with pool.acquire() as conn:
        assert await store.select_execution(conn, stranger, execution_id) is None
        assert await store.select_status(conn, stranger, execution_id) is None
        assert (
            await payload_store.select_payload(conn, stranger, execution_id, PayloadKind.INPUT)
            is None
        )
        assert await scripts.select_script(conn, stranger, script) is None
        assert await scripts.select_source(conn, stranger, script, 1) is None


async def test_executions_of_a_suspended_tenant_stay_queued(pool: Pool, script: UUID) -> None:
    ids = await _accept(pool, script, 2)
    await pool.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", TENANT)

    waiting = await _claim(pool, limit=2)
    await pool.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", TENANT)

    assert waiting == []
    assert [claim.id for claim in await _claim(pool, limit=2)] == ids
