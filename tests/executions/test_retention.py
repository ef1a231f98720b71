"""Payloads expire, receipts stay, and no blob outlives its row for ever."""

import asyncio
import os
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import uuid_utils.compat as uuid7
from msgspec.structs import replace

from app.blobs import Blobs, open_blobs
from app.db import Pool
from app.executions import erasure, retention
from app.executions.model import StoredPayload
from app.executions.payloads import PayloadWriter
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

_NONE = timedelta(0)


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return open_blobs(settings)


@pytest.fixture
async def script(pool: Pool) -> UUID:
    script = uuid4()
    await pool.execute(
        "INSERT INTO scripts (id, tenant_id, name) VALUES ($1, $2, 'kept')", script, DEFAULT_TENANT
    )
    await pool.execute(
        "INSERT INTO script_versions (script_id, version, tenant_id, source, sha256) "
        "VALUES ($1, 1, $2, 'x', sha256('x'))",
        script,
        DEFAULT_TENANT,
    )
    return script


async def _stored(blobs: Blobs, size: int, key: str) -> StoredPayload:
    writer = PayloadWriter(blobs, key)
    async with writer:
        await writer.write(b"x" * size)
    return writer.stored()


async def _execution(
    pool: Pool, script: UUID, *, days_ago: float | None, payload: StoredPayload
) -> UUID:
    """Insert an execution that finished so many days ago, or is queued, with its input."""
    execution = uuid7.uuid7()
    await pool.execute(
        """
        INSERT INTO executions
               (id, tenant_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes,
                max_output_bytes, seed, clock_ms, created_at, status, finished_at)
        SELECT $1, $2, $3, 1, 1, 1, 1, 1, 1, 1, now() - interval '90 days',
               CASE WHEN $4::float8 IS NULL THEN 'queued' ELSE 'succeeded' END,
               now() - make_interval(secs => $4 * 86400)
        """,
        execution,
        DEFAULT_TENANT,
        script,
        days_ago,
    )
    await pool.execute(
        "INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key) "
        "VALUES ($1, 'input', $2, $3, $4, $5, $6)",
        execution,
        DEFAULT_TENANT,
        payload.sha256,
        payload.size_bytes,
        payload.body,
        payload.blob_key,
    )
    return execution


async def _left(pool: Pool) -> dict[UUID, bool]:
    """Say of each execution that has a receipt whether its input is still there."""
    rows = await pool.fetch("SELECT execution_id, erased_at IS NULL AS there FROM payloads")
    return {row["execution_id"]: row["there"] for row in rows}


def _files(blobs: Blobs) -> list[str]:
    assert blobs._folder is not None
    names = [path.name for path in blobs._folder.rglob("*") if path.is_file()]
    return sorted(name for name in names if name != "installation")


def _key() -> str:
    return f"{DEFAULT_TENANT}/inputs/{uuid7.uuid7()}"


async def test_only_what_finished_long_enough_ago_is_erased(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    old = await _execution(pool, script, days_ago=30.01, payload=small)
    young = await _execution(pool, script, days_ago=29.99, payload=small)
    queued = await _execution(pool, script, days_ago=None, payload=small)

    await retention.expire(pool, blobs, settings)

    assert await _left(pool) == {old: False, young: True, queued: True}
    kept = await pool.fetchrow("SELECT * FROM payloads WHERE execution_id = $1", old)
    assert kept is not None
    assert (kept["sha256"], kept["size_bytes"]) == (small.sha256, 5)


async def test_zero_days_keep_for_ever(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    old = await _execution(pool, script, days_ago=80, payload=small)

    await retention.expire(pool, blobs, replace(settings, keep_payloads_days=0))

    assert await _left(pool) == {old: True}


async def test_a_blob_goes_with_its_row_unless_another_names_it(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    alone = await _stored(blobs, 2 * 2**20, _key())
    shared = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=31, payload=alone)
    await _execution(pool, script, days_ago=31, payload=shared)
    await _execution(pool, script, days_ago=1, payload=shared)

    await retention.expire(pool, blobs, settings)

    assert shared.blob_key is not None
    assert _files(blobs) == [shared.blob_key.rpartition("/")[2]]


async def test_steps_go_on_where_the_last_one_ended_until_all_is_erased(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    for day in range(5):
        # Two that finished at the same moment are two.
        await _execution(pool, script, days_ago=40 + day // 2, payload=small)

    taken = []
    async with pool.acquire() as conn:
        for _ in range(4):
            step = await erasure.expire_payloads(conn, days=30, most=2)
            taken.append(step.executions)

    assert taken == [2, 2, 1, 0]
    assert set((await _left(pool)).values()) == {False}


async def test_a_step_that_another_worker_is_taking_is_left_to_it(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    await _execution(pool, script, days_ago=40, payload=small)
    async with pool.acquire() as one, pool.acquire() as other:
        assert (await erasure.expire_payloads(one, days=50, most=9)).executions == 0
        async with one.transaction():
            assert (await erasure.expire_payloads(one, days=30, most=9)).executions == 1
            assert (await erasure.expire_payloads(other, days=30, most=9)).executions == 0
        assert (await erasure.expire_payloads(other, days=30, most=9)).executions == 0


async def test_workers_at_the_same_time_erase_each_thing_once(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    for _ in range(50):
        await _execution(pool, script, days_ago=40, payload=small)

    await asyncio.gather(*(retention.expire(pool, blobs, settings) for _ in range(4)))

    assert set((await _left(pool)).values()) == {False}
    assert await _stored_bytes(pool) == 0


async def test_what_is_erased_counts_against_no_quota(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    await _execution(pool, script, days_ago=40, payload=small)
    await _execution(pool, script, days_ago=1, payload=small)
    assert await _stored_bytes(pool) == 10

    await retention.expire(pool, blobs, settings)
    assert await _stored_bytes(pool) == 5

    await retention.expire(pool, blobs, replace(settings, keep_receipts_days=20))
    assert await _stored_bytes(pool) == 5


async def test_receipts_go_where_a_setting_says_so(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    large = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=61, payload=large)
    young = await _execution(pool, script, days_ago=59, payload=await _stored(blobs, 5, _key()))
    queued = await _execution(pool, script, days_ago=None, payload=await _stored(blobs, 5, _key()))

    await retention.expire(
        pool, blobs, replace(settings, keep_payloads_days=0, keep_receipts_days=60)
    )

    assert await _left(pool) == {young: True, queued: True}
    assert await pool.fetchval("SELECT count(*) FROM executions") == 2
    assert _files(blobs) == []


async def test_a_sweep_removes_old_blobs_that_no_row_names_and_nothing_else(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    named = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=None, payload=named)
    orphan = await _stored(blobs, 2 * 2**20, f"{DEFAULT_TENANT}/results/{uuid4()}-17")
    assert orphan.blob_key is not None
    await _stored(blobs, 2 * 2**20, "not/of/this/service")

    assert await retention.sweep(pool, blobs, grace=timedelta(hours=1)) == 0
    assert await retention.sweep(pool, blobs, grace=_NONE) == 1

    assert named.blob_key is not None
    assert _files(blobs) == sorted([named.blob_key.rpartition("/")[2], "service"])


async def test_a_sweep_removes_what_a_killed_upload_left_half_way(pool: Pool, blobs: Blobs) -> None:
    assert blobs._folder is not None
    staged = blobs._folder / str(DEFAULT_TENANT) / "inputs" / f"{uuid4()}#1"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"half")

    assert await retention.sweep(pool, blobs, grace=timedelta(hours=1)) == 0
    os.utime(staged, (0, 0))
    assert await retention.sweep(pool, blobs, grace=timedelta(hours=1)) == 1

    assert _files(blobs) == []


async def test_another_installations_store_is_never_swept(pool: Pool, blobs: Blobs) -> None:
    await blobs.create("installation", b"another")
    orphan = await _stored(blobs, 2 * 2**20, _key())
    assert orphan.blob_key is not None

    assert await retention.sweep(pool, blobs, grace=_NONE) == 0

    assert _files(blobs) == [orphan.blob_key.rpartition("/")[2]]


async def test_the_sweep_is_one_workers_at_a_time(pool: Pool) -> None:
    async with pool.acquire() as conn:

        async def take() -> bool:
            return await erasure.take_duty(
                conn, erasure.MaintenanceTask.BLOBS, again_after_seconds=3_600
            )

        assert not await take()
        await conn.execute("UPDATE retention_duties SET due_at = now()")
        assert [await take(), await take()] == [True, False]


async def _stored_bytes(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT coalesce(sum(stored_bytes), 0) FROM tenant_usage"))
