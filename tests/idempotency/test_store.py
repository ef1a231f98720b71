"""Keys are locked while their request is accepted, and free again once they expire."""

from hashlib import sha256

import pytest

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions.model import Submission
from app.idempotency.model import (
    IdempotencyKey,
    IdempotencyKeyReused,
    Repeated,
    RequestInProgress,
    RequestKey,
    key_for,
)
from app.idempotency.store import delete_expired, remember, require_new
from app.limits import LimitChoice
from app.replays.model import CreateReplays, ReplayFilter
from app.tenants.model import DEFAULT_TENANT
from tests.support.queues import Queues

KEY = IdempotencyKey("a", b"\x01" * 32)
OTHER = IdempotencyKey("a", b"\x02" * 32)
SEQUENTIAL_SCANS = """
SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'idempotency_keys'
"""


async def _create(pool: Pool, key: IdempotencyKey, resource: str) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await require_new(conn, DEFAULT_TENANT, key)
        await remember(conn, DEFAULT_TENANT, key, resource, hours=1)


async def _expire(pool: Pool) -> None:
    await pool.execute("UPDATE idempotency_keys SET expires_at = clock_timestamp()")


async def test_a_key_names_what_it_created(pool: Pool) -> None:
    await _create(pool, KEY, "first")

    with pytest.raises(Repeated) as repeated:
        await _create(pool, KEY, "second")
    with pytest.raises(IdempotencyKeyReused):
        await _create(pool, OTHER, "second")

    assert repeated.value.resource == "first"


async def test_a_key_is_in_progress_until_its_transaction_ends(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await require_new(conn, DEFAULT_TENANT, KEY)
        with pytest.raises(RequestInProgress):
            await _create(pool, KEY, "second")
        await remember(conn, DEFAULT_TENANT, KEY, "first", hours=1)

    with pytest.raises(Repeated):
        await _create(pool, KEY, "second")


async def test_a_transaction_that_fails_leaves_its_key_free(pool: Pool) -> None:
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await require_new(conn, DEFAULT_TENANT, KEY)
        await remember(conn, DEFAULT_TENANT, KEY, "first", hours=1)
        await transaction.rollback()

    await _create(pool, OTHER, "second")


async def test_an_expired_key_is_free(pool: Pool) -> None:
    await _create(pool, KEY, "first")
    await _expire(pool)

    await _create(pool, OTHER, "second")

    with pytest.raises(Repeated) as repeated:
        await _create(pool, OTHER, "third")
    assert repeated.value.resource == "second"


async def test_expired_keys_are_deleted(pool: Pool) -> None:
    for number in range(3):
        await _create(pool, IdempotencyKey(f"old-{number}", b"\x01" * 32), "x")
    await _expire(pool)
    await _create(pool, KEY, "first")

    async with pool.acquire() as conn:
        assert [await delete_expired(conn, 2) for _ in range(3)] == [2, 1, 0]

    assert await pool.fetchval("SELECT array_agg(key) FROM idempotency_keys") == ["a"]


async def test_a_small_table_is_not_read_in_full(pool: Pool) -> None:
    """A connection keeps its plan when the table has grown."""
    await _create(pool, KEY, "first")
    await pool.execute("ANALYZE idempotency_keys")

    async with pool.acquire() as conn, conn.transaction():
        before = await conn.fetchval(SEQUENTIAL_SCANS)
        with pytest.raises(Repeated):
            await require_new(conn, DEFAULT_TENANT, KEY)
        after = await conn.fetchval(SEQUENTIAL_SCANS)

    assert after == before


async def test_a_key_of_another_tenant_is_another_key(pool: Pool) -> None:
    tenant = await Queues(pool).tenant()
    await _create(pool, KEY, "first")

    async with pool.acquire() as conn, conn.transaction():
        await require_new(conn, tenant, KEY)


def test_the_fingerprint_ignores_the_order_of_labels() -> None:
    key = RequestKey("a", "POST /executions")

    one, same, other = (
        key_for(key, labels) for labels in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    )

    assert one == same != other


class _Later(Submission, frozen=True, kw_only=True):
    """Options of a later release."""

    more: LimitChoice = LimitChoice()
    tags: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("parts", "hashed"),
    [
        (("cards@3", Submission(), b"abc"), b'"cards@3",{},"YWJj"'),
        (
            (
                "cards",
                Submission(limits=LimitChoice(wall_ms=9), labels={"b": "2", "a": "1"}, params=b"1"),
            ),
            b'"cards",{"labels":{"a":"1","b":"2"},"limits":{"wall_ms":9},"params":"MQ=="}',
        ),
        (
            (CreateReplays(filter=ReplayFilter(error_kind=ErrorKind.TIMEOUT)),),
            b'{"filter":{"error.kind":"timeout"}}',
        ),
    ],
)
def test_the_fingerprint_of_a_request_stays(parts: tuple[object, ...], hashed: bytes) -> None:
    """Keys that this release stores are known to the next one."""
    key = key_for(RequestKey("a", "POST /executions"), *parts)

    assert key is not None
    assert key.fingerprint == sha256(b'["POST /executions",%b]' % hashed).digest()


def test_a_later_option_changes_no_fingerprint() -> None:
    key = RequestKey("a", "POST /executions")

    same, later, other = (
        key_for(key, each)
        for each in (Submission(seed=1), _Later(seed=1), _Later(seed=1, tags=("a",)))
    )

    assert same == later != other
