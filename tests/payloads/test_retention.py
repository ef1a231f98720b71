"""Payloads expire, receipts stay, and blobs without a row are deleted."""

import asyncio
import os
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import uuid_utils.compat as uuid7
from msgspec.structs import replace

from app.blobs import Blobs, open_blobs
from app.db import Pool
from app.executions.retention import PAYLOAD_OWNER, expire_payloads
from app.payloads import retention, store
from app.payloads.model import MaintenanceTask, StoredPayload
from app.payloads.writer import PayloadWriter
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

OWNERS = (PAYLOAD_OWNER,)
_NO_AGE = timedelta(0)


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return open_blobs(settings)


@pytest.fixture
async def script(pool: Pool) -> UUID:
    script = uuid4()
    await pool.execute(
        "INSERT INTO scripts (id, tenant_id, name) VALUES ($1, $2, 'script')",
        script,
        DEFAULT_TENANT,
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
    """Insert an execution that finished `days_ago`, or a queued one for None, with its input."""
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


async def _stored_inputs(pool: Pool) -> dict[UUID, bool]:
    """Map each execution that has a receipt to whether its input is stored."""
    rows = await pool.fetch("SELECT execution_id, erased_at IS NULL AS is_stored FROM payloads")
    return {row["execution_id"]: row["is_stored"] for row in rows}


def _files(blobs: Blobs) -> list[str]:
    assert blobs.folder is not None
    names = [path.name for path in blobs.folder.rglob("*") if path.is_file()]
    return sorted(name for name in names if name != "installation")


def _key() -> str:
    return f"{DEFAULT_TENANT}/inputs/{uuid7.uuid7()}"


async def test_only_payloads_past_their_age_are_erased(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    old = await _execution(pool, script, days_ago=30.01, payload=small)
    young = await _execution(pool, script, days_ago=29.99, payload=small)
    queued = await _execution(pool, script, days_ago=None, payload=small)

    await retention.expire(pool, blobs, settings, OWNERS)

    assert await _stored_inputs(pool) == {old: False, young: True, queued: True}
    erased = await pool.fetchrow("SELECT * FROM payloads WHERE execution_id = $1", old)
    assert erased is not None
    assert (erased["sha256"], erased["size_bytes"]) == (small.sha256, 5)


async def test_zero_days_never_expire(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    old = await _execution(pool, script, days_ago=80, payload=small)

    await retention.expire(pool, blobs, replace(settings, keep_payloads_days=0), OWNERS)

    assert await _stored_inputs(pool) == {old: True}


async def test_a_blob_is_deleted_with_its_row_unless_another_references_it(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    alone = await _stored(blobs, 2 * 2**20, _key())
    shared = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=31, payload=alone)
    await _execution(pool, script, days_ago=31, payload=shared)
    await _execution(pool, script, days_ago=1, payload=shared)

    await retention.expire(pool, blobs, settings, OWNERS)

    assert shared.blob_key is not None
    assert _files(blobs) == [shared.blob_key.rpartition("/")[2]]


async def test_batches_continue_at_the_cursor_until_all_is_erased(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    for day in range(5):
        # Some finished at the same time.
        await _execution(pool, script, days_ago=40 + day // 2, payload=small)

    taken = []
    async with pool.acquire() as conn:
        for _ in range(4):
            batch = await expire_payloads(conn, 30, 2)
            taken.append(batch.items)

    assert taken == [2, 2, 1, 0]
    assert set((await _stored_inputs(pool)).values()) == {False}


async def test_a_batch_of_another_worker_is_left_to_it(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    await _execution(pool, script, days_ago=40, payload=small)
    async with pool.acquire() as one, pool.acquire() as other:
        assert (await expire_payloads(one, 50, 9)).items == 0
        async with one.transaction():
            assert (await expire_payloads(one, 30, 9)).items == 1
            assert (await expire_payloads(other, 30, 9)).items == 0
        assert (await expire_payloads(other, 30, 9)).items == 0


async def test_concurrent_workers_erase_each_payload_once(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    for _ in range(50):
        await _execution(pool, script, days_ago=40, payload=small)

    await asyncio.gather(*(retention.expire(pool, blobs, settings, OWNERS) for _ in range(4)))

    assert set((await _stored_inputs(pool)).values()) == {False}
    assert await _stored_bytes(pool) == 0


async def test_erased_payloads_count_against_no_quota(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    small = await _stored(blobs, 5, _key())
    await _execution(pool, script, days_ago=40, payload=small)
    await _execution(pool, script, days_ago=1, payload=small)
    assert await _stored_bytes(pool) == 10

    await retention.expire(pool, blobs, settings, OWNERS)
    assert await _stored_bytes(pool) == 5

    await retention.expire(pool, blobs, replace(settings, keep_receipts_days=20), OWNERS)
    assert await _stored_bytes(pool) == 5


async def test_receipts_are_deleted_after_the_configured_days(
    pool: Pool, blobs: Blobs, settings: Settings, script: UUID
) -> None:
    large = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=61, payload=large)
    young = await _execution(pool, script, days_ago=59, payload=await _stored(blobs, 5, _key()))
    queued = await _execution(pool, script, days_ago=None, payload=await _stored(blobs, 5, _key()))

    await retention.expire(
        pool, blobs, replace(settings, keep_payloads_days=0, keep_receipts_days=60), OWNERS
    )

    assert await _stored_inputs(pool) == {young: True, queued: True}
    assert await pool.fetchval("SELECT count(*) FROM executions") == 2
    assert _files(blobs) == []


async def test_a_sweep_deletes_old_orphans_and_nothing_else(
    pool: Pool, blobs: Blobs, script: UUID
) -> None:
    named = await _stored(blobs, 2 * 2**20, _key())
    await _execution(pool, script, days_ago=None, payload=named)
    orphan = await _stored(blobs, 2 * 2**20, f"{DEFAULT_TENANT}/results/{uuid4()}-17")
    assert orphan.blob_key is not None
    await _stored(blobs, 2 * 2**20, "not/of/this/service")

    assert await retention.delete_orphans(pool, blobs, OWNERS, min_age=timedelta(hours=1)) == 0
    assert await retention.delete_orphans(pool, blobs, OWNERS, min_age=_NO_AGE) == 1

    assert named.blob_key is not None
    assert _files(blobs) == sorted([named.blob_key.rpartition("/")[2], "service"])


async def test_a_sweep_deletes_the_remains_of_a_killed_upload(pool: Pool, blobs: Blobs) -> None:
    assert blobs.folder is not None
    staged = blobs.folder / str(DEFAULT_TENANT) / "inputs" / f"{uuid4()}#1"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"half")

    assert await retention.delete_orphans(pool, blobs, OWNERS, min_age=timedelta(hours=1)) == 0
    os.utime(staged, (0, 0))
    assert await retention.delete_orphans(pool, blobs, OWNERS, min_age=timedelta(hours=1)) == 1

    assert _files(blobs) == []


async def test_another_installations_store_is_left_alone(pool: Pool, blobs: Blobs) -> None:
    await blobs.create("installation", b"another")
    orphan = await _stored(blobs, 2 * 2**20, _key())
    assert orphan.blob_key is not None

    assert await retention.delete_orphans(pool, blobs, OWNERS, min_age=_NO_AGE) == 0

    assert _files(blobs) == [orphan.blob_key.rpartition("/")[2]]


async def test_one_worker_at_a_time_claims_the_sweep(pool: Pool) -> None:
    async with pool.acquire() as conn:

        async def claim() -> bool:
            return await store.claim_task(conn, MaintenanceTask.BLOBS, interval_seconds=3_600)

        assert not await claim()
        await conn.execute("UPDATE retention_duties SET due_at = now()")
        assert [await claim(), await claim()] == [True, False]


async def _stored_bytes(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT coalesce(sum(stored_bytes), 0) FROM tenant_usage"))
