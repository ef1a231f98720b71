"""A re-drive is one worker's at a time, and what a lost one reports is refused."""

from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec import Raw

from app.db import Connection, Pool
from app.redrives import lease_store, store
from app.redrives.lease_store import LeaseLost
from app.redrives.model import (
    ClaimedRedrive,
    NewRedrive,
    RedriveFilter,
    RedriveKind,
    RedriveStatus,
    RetryFailure,
    Tally,
)
from app.tenants.model import DEFAULT_TENANT as TENANT

WORKER, OTHER = uuid.uuid7(), uuid.uuid7()


async def insert(conn: Connection, *, matched: int = 9, tenant: UUID = TENANT) -> UUID:
    new = NewRedrive(
        id=uuid.uuid7(),
        kind=RedriveKind.RUN,
        filter=RedriveFilter(run="x"),
        subject_id=uuid.uuid7(),
        script_id=None,
        script_version=None,
        per_second=None,
        matched=matched,
    )
    await store.insert_redrive(conn, tenant, new)
    return new.id


async def claim(conn: Connection, *, seconds: float = 60.0, by: UUID = WORKER) -> ClaimedRedrive:
    claimed = await lease_store.claim_redrive(conn, by, lease_seconds=seconds)
    assert claimed is not None
    return claimed


async def test_an_expired_lease_is_another_workers_and_the_late_report_counts_nothing(
    pool: Pool,
) -> None:
    async with pool.acquire() as conn:
        redrive = await insert(conn)
        late = await claim(conn, seconds=-1.0)
        taken = await claim(conn, by=OTHER)
        assert (late.id, taken.id) == (redrive, redrive)
        assert await lease_store.claim_redrive(conn, WORKER, lease_seconds=60.0) is None
        with pytest.raises(LeaseLost):
            await lease_store.lock_leased(conn, late)
        await lease_store.count_batch(conn, late, Tally(moved=5))
        await lease_store.release(conn, late, after_seconds=0.0, trouble="late")
        assert await lease_store.end(conn, late, RedriveStatus.FINISHED) is None
        await lease_store.count_batch(conn, taken, Tally(moved=2, failed_again=1))
        shown = await store.select_redrive(conn, TENANT, redrive)
        assert shown is not None
        assert (shown.status, shown.moved, shown.failed_again, shown.remaining, shown.trouble) == (
            "running", 2, 1, 6, None,
        )  # fmt: skip


async def test_batches_of_several_take_turns_and_rest_while_they_are_not_due(pool: Pool) -> None:
    async with pool.acquire() as conn:
        first, second = await insert(conn), await insert(conn)
        claimed = await claim(conn)
        assert claimed.id == first
        await lease_store.release(conn, claimed, after_seconds=0.0)
        claimed = await claim(conn)
        assert claimed.id == second
        await lease_store.release(conn, claimed, after_seconds=3600.0, trouble="the sink is away")
        assert (await claim(conn)).id == first
        assert await lease_store.claim_redrive(conn, OTHER, lease_seconds=60.0) is None


async def test_one_tenant_has_one_batch_in_hand_while_others_wait(pool: Pool) -> None:
    other = uuid.uuid7()
    async with pool.acquire() as conn:
        await conn.execute("INSERT INTO tenants (id, name) VALUES ($1, 'other')", other)
        mine = [await insert(conn) for _ in range(3)]
        others = [await insert(conn, tenant=other) for _ in range(2)]
        claimed = [(await claim(conn)).id for _ in range(5)]
    assert claimed == [mine[0], others[0], mine[1], others[1], mine[2]]


async def test_those_of_a_suspended_tenant_rest(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await insert(conn)
        await conn.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", TENANT)
        assert await lease_store.claim_redrive(conn, WORKER, lease_seconds=60.0) is None
        await conn.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", TENANT)
        await claim(conn)


async def test_the_batch_in_hand_of_a_cancelled_one_is_counted(pool: Pool) -> None:
    async with pool.acquire() as conn:
        redrive = await insert(conn)
        claimed = await claim(conn)
        assert await store.cancel_redrive(conn, TENANT, redrive) == 9
        assert await store.cancel_redrive(conn, TENANT, redrive) is None
        assert await lease_store.lock_leased(conn, claimed) is RedriveStatus.CANCELLED
        await lease_store.count_batch(conn, claimed, Tally(moved=4))
        await lease_store.release(conn, claimed, after_seconds=0.0)
        assert await lease_store.claim_redrive(conn, OTHER, lease_seconds=60.0) is None
        shown = await store.select_redrive(conn, TENANT, redrive)
        assert shown is not None
        assert (shown.status, shown.moved, shown.remaining) == ("cancelled", 4, 5)


async def test_the_first_ten_failures_are_shown_as_they_are(pool: Pool) -> None:
    async with pool.acquire() as conn:
        redrive = await insert(conn, matched=24)
        claimed = await claim(conn)
        error = Raw(b'{"kind": "script_error", "message": "\\ud800"}')
        for batch in range(3):
            failures = tuple(RetryFailure(id=f"ä:{batch}", error=error) for _ in range(8))
            await lease_store.count_batch(conn, claimed, Tally(failed_again=8, failures=failures))
        # What is left when nothing more is found was deleted: here, nothing.
        assert await lease_store.end(conn, claimed, RedriveStatus.FINISHED) is not None
        shown = await store.select_redrive(conn, TENANT, redrive)
        assert shown is not None
        one = b'{"id": "\\u00e4:%d", "error": {"kind": "script_error", "message": "\\ud800"}}'
        assert bytes(shown.failures) == b"[" + b", ".join([one % 0] * 8 + [one % 1] * 2) + b"]"
        assert (shown.left_out, shown.remaining) == (0, 0)
