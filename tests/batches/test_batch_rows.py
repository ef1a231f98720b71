"""Batches in the database: exact quotas, exact counts, one end, and what retention deletes."""

import asyncio
import json
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.batches.item_cancellations import cancel_unfinished
from app.batches.problems import UploadLost
from app.batches.retention import BATCH_OWNER
from app.batches.staging_store import StagedInput, delete_abandoned, stage_inputs
from app.batches.store import mark_cancelled, select_batch
from app.blobs import open_blobs
from app.callbacks.model import CallbackStatus
from app.callbacks.service import list_callbacks
from app.callbacks.subjects import BATCH
from app.db import Pool
from app.executions.retention import PAYLOAD_OWNER, select_referenced_keys
from app.payloads.model import StoredPayload
from app.payloads.retention import expire
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps, Quota
from app.settings import Settings
from tests.callbacks.deliveries import Deliveries
from tests.support.batches import insert
from tests.support.queues import Queues
from tests.support.receivers import open_receiver
from tests.support.submissions import wait_for_locks

COUNTS = "SELECT ARRAY[(SELECT count(*) FROM batches), (SELECT count(*) FROM executions)]"
QUEUED = "SELECT coalesce(sum(queued), 0) FROM tenant_usage WHERE tenant_id = $1"
END = """
UPDATE executions
SET status = 'cancelled', finished_at = now(), lease_expires_at = NULL
WHERE id = $1
"""
AGE = (
    "UPDATE batches SET finished_at = finished_at - interval '2 days' WHERE id = $1",
    "UPDATE executions SET finished_at = finished_at - interval '2 days' WHERE batch_id = $1",
)


async def test_a_batch_is_accepted_as_a_whole_or_not_at_all(pool: Pool) -> None:
    tenant = await Queues(pool).tenant()
    inputs = [b"1", b"22", b"333"]
    for caps, quota in (
        (Caps(max_queued=2), Quota.QUEUED),
        (Caps(max_stored_bytes=5), Quota.STORED_BYTES),
        (Caps(max_bytes_per_day=5), Quota.BYTES_PER_DAY),
    ):
        with pytest.raises(QuotaExceeded) as refused:
            await insert(pool, tenant, inputs, caps=caps)
        assert (refused.value.quota, refused.value.used) == (quota, 0)
        assert refused.value.limit in (2, 5)
    with pytest.raises(UploadLost):
        await insert(pool, tenant, inputs, items=4)
    assert await pool.fetchval(COUNTS) == [0, 0]

    exactly = Caps(max_queued=3, max_stored_bytes=6, max_bytes_per_day=6)
    await insert(pool, tenant, inputs, caps=exactly)

    assert await pool.fetchval(COUNTS) == [1, 3]
    assert await pool.fetchval(QUEUED, tenant) == 3
    assert await pool.fetchval("SELECT count(*) FROM batch_inputs") == 0


async def test_of_two_items_that_end_at_once_the_second_ends_the_batch(pool: Pool) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant()
    batch = await insert(pool, tenant, [b"1", b"2"])
    first, second = await queues.claim(2)
    assert {first.batch_id, second.batch_id} == {batch}
    async with pool.acquire() as conn:
        async with conn.transaction():
            await conn.execute(END, first.id)
            ending = asyncio.create_task(queues.finish(second))
            await wait_for_locks(pool)
        await ending
        found = await select_batch(conn, tenant, batch)

    assert found is not None
    assert found.finished_at is not None
    assert (found.counts.succeeded, found.counts.cancelled, found.ended) == (1, 1, 2)


async def test_items_that_could_not_be_staged_have_failed_from_the_start(pool: Pool) -> None:
    tenant = await Queues(pool).tenant()
    url = "https://receiver.example/"
    error = b'{"kind": "invalid_input", "message": "line 1: too long"}'

    batch = await insert(pool, tenant, [b"", b""], error=error, callback_url=url)

    async with pool.acquire() as conn:
        found = await select_batch(conn, tenant, batch)
        [callback] = await list_callbacks(conn, tenant, BATCH, batch)
    assert found is not None
    assert (found.counts.failed, found.status, found.callback_url) == (2, "finished", url)
    assert callback.status is CallbackStatus.PENDING
    assert await pool.fetchval(QUEUED, tenant) == 0


async def test_the_end_is_reported_by_one_callback_without_data(
    pool: Pool, settings: Settings
) -> None:
    with open_receiver() as receiver:
        deliveries = Deliveries(pool, settings)
        tenant = await deliveries.queues.tenant()
        url = f"http://127.0.0.1:{receiver.port}/ok"
        batch = await insert(pool, tenant, [b'"secret"', b"2"], callback_url=url)
        [running] = [each.id for each in await deliveries.queues.claim(1)]
        assert await cancel_unfinished(pool, tenant, batch) == [running]

        async with deliveries.running():
            await _delivered(pool, tenant, batch)

    [sent] = receiver.received
    message = json.loads(sent.body)
    assert message["type"] == "batch.finished"
    assert message["data"]["id"] == str(batch)
    assert message["data"]["counts"]["cancelled"] == 2
    assert b"secret" not in sent.body


async def test_a_batch_is_deleted_after_its_items(pool: Pool, settings: Settings) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant()
    old, new = [await insert(pool, tenant, [b"1", b"2"]) for _ in range(2)]
    async with pool.acquire() as conn:
        assert await mark_cancelled(conn, tenant, old) == 2
    # Killed before an item was cancelled: retention does the rest.
    await expire(pool, open_blobs(settings), settings, [BATCH_OWNER])
    await cancel_unfinished(pool, tenant, new)
    for statement in AGE:
        await pool.execute(statement, old)
    keeping = replace(settings, keep_receipts_days=1)

    await expire(pool, open_blobs(settings), keeping, [PAYLOAD_OWNER, BATCH_OWNER])

    assert await pool.fetchval("SELECT array_agg(id) FROM batches") == [new]
    assert await pool.fetchval(COUNTS) == [1, 2]


async def test_a_batch_is_kept_while_its_callback_is_tried(pool: Pool, settings: Settings) -> None:
    tenant, url = await Queues(pool).tenant(), "https://receiver.example/"
    batch = await insert(pool, tenant, [b""], error=b'{"kind": "invalid_input"}', callback_url=url)
    for statement in AGE:
        await pool.execute(statement, batch)
    keeping = replace(settings, keep_receipts_days=1)

    await expire(pool, open_blobs(settings), keeping, [PAYLOAD_OWNER, BATCH_OWNER])
    kept = await pool.fetchval(COUNTS)
    await pool.execute("UPDATE callbacks SET status = 'failed', next_attempt_at = NULL")
    await expire(pool, open_blobs(settings), keeping, [BATCH_OWNER])

    assert (kept, await pool.fetchval(COUNTS)) == ([1, 0], [0, 0])


async def test_what_an_upload_has_staged_is_kept_until_it_is_abandoned(pool: Pool) -> None:
    tenant = await Queues(pool).tenant()
    upload, keys = uuid.uuid7(), [f"{tenant}/inputs/{uuid.uuid7()}" for _ in range(2)]
    async with pool.acquire() as conn:
        large = StoredPayload(sha256=bytes(32), size_bytes=2**21, body=None, blob_key=keys[0])
        await stage_inputs(conn, tenant, upload, [StagedInput(1, large)])

        assert await select_referenced_keys(conn, keys) == {keys[0]}
        assert (await delete_abandoned(conn, 1, 10)).items == 0
        await conn.execute("UPDATE batch_inputs SET staged_at = staged_at - interval '2 days'")
        abandoned = await delete_abandoned(conn, 1, 10)

    assert (abandoned.items, abandoned.rows, abandoned.blob_keys) == (1, 1, [keys[0]])


async def _delivered(pool: Pool, tenant: UUID, batch: UUID) -> None:
    async with asyncio.timeout(30):
        while True:
            async with pool.acquire() as conn:
                [callback] = await list_callbacks(conn, tenant, BATCH, batch)
            if callback.status is CallbackStatus.DELIVERED:
                return
            await asyncio.sleep(0.02)
