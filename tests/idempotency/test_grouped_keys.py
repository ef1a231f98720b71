"""Submissions that are accepted together keep their idempotency keys, as each would alone."""

from collections.abc import AsyncIterator

import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.idempotency.model import IdempotencyKey, IdempotencyKeyReused, Repeated, RequestInProgress
from app.idempotency.store import require_new
from app.limits import LimitChoice
from app.resources import Resources, open_resources
from app.scripts import store as scripts
from app.scripts.problems import ScriptNotFound
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.support.submissions import COUNT_STATEMENTS, accept, accept_together

# Keys that name an execution which is not stored.
COUNT_DANGLING = """
SELECT count(*) FROM idempotency_keys AS k
WHERE NOT EXISTS (SELECT FROM executions AS e WHERE e.id::text = k.resource)
"""


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    script = uuid.uuid7()
    async with pool.acquire() as conn:
        await scripts.insert_script(conn, DEFAULT_TENANT, script, name="plain", description="")
        await scripts.insert_version(
            conn, DEFAULT_TENANT, script, source=b"x", limits=LimitChoice(), note=""
        )
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def test_keyed_submissions_share_a_statement(resources: Resources) -> None:
    accepted = await accept_together(resources, *({"key": f"key-{n}"} for n in range(9)))

    assert await resources.pool.fetchval(COUNT_STATEMENTS) == 2
    rows = await resources.pool.fetch("SELECT key, resource FROM idempotency_keys ORDER BY key")
    assert [tuple(row) for row in rows] == [
        (f"key-{n}", str(each)) for n, each in enumerate(accepted)
    ]
    for n, each in enumerate(accepted):
        with pytest.raises(Repeated) as repeated:
            await accept(resources, key=f"key-{n}")
        assert repeated.value.resource == str(each)


async def test_a_key_in_a_group_is_used_once(resources: Resources) -> None:
    earlier = await accept(resources, key="earlier")
    async with resources.pool.acquire() as conn, conn.transaction():
        await require_new(conn, DEFAULT_TENANT, IdempotencyKey("locked", bytes(32)))

        _, first, again, other, keyless, repeated, missing, locked = await accept_together(
            resources,
            {},
            {"key": "twice"},
            {"key": "twice"},
            {"key": "twice", "data": b"2"},
            {},
            {"key": "earlier"},
            {"key": "refused", "ref": "missing"},
            {"key": "locked"},
        )

    assert isinstance(again, Repeated)
    assert again.resource == str(first)
    assert isinstance(other, IdempotencyKeyReused)
    assert isinstance(repeated, Repeated)
    assert repeated.resource == str(earlier)
    assert isinstance(missing, ScriptNotFound)
    assert isinstance(locked, RequestInProgress)
    assert {type(first), type(keyless)} == {type(earlier)}
    assert await resources.pool.fetchval("SELECT count(*) FROM executions") == 4
    assert await resources.pool.fetchval(COUNT_DANGLING) == 0
    # What was refused has left its key free.
    await accept(resources, key="refused")
    await accept(resources, key="locked")


async def test_an_expired_key_is_free_in_a_group(resources: Resources) -> None:
    earlier = await accept(resources, key="a")
    await resources.pool.execute("UPDATE idempotency_keys SET expires_at = clock_timestamp()")

    _, again, _ = await accept_together(resources, {}, {"key": "a", "data": b"2"}, {"key": "b"})

    assert again not in (earlier, None)
    with pytest.raises(Repeated) as repeated:
        await accept(resources, key="a", data=b"2")
    assert repeated.value.resource == str(again)
