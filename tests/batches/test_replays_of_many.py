"""A batch of replays is made in SQL: inputs, seeds, clocks and choices of recorded executions."""

from collections.abc import AsyncIterator

import pytest
import uuid_utils.compat as uuid

from app.auth.callers import Caller
from app.auth.model import AuthMethod
from app.batches.problems import EmptyBatch
from app.batches.submissions import insert_replays
from app.db import Pool
from app.limits import LimitChoice
from app.quotas.model import Caps
from app.resources import Resources, open_resources
from app.scripts import store as scripts
from app.scripts.model import ResolvedVersion
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.support.submissions import accept

CALLER = Caller(
    tenant=TENANT,
    caps=Caps(),
    auth_method=AuthMethod.OPEN,
    key_id=None,
    scopes=frozenset(),
    address=None,
    request_id="a-request",
)
REPEATED = """
SELECT i.body, e.seed, e.clock_ms, e.labels, e.version, e.batch_line
FROM executions AS e JOIN payloads AS i ON i.execution_id = e.id AND i.kind = 'input'
WHERE e.batch_id IS NOT DISTINCT FROM $1
ORDER BY e.batch_line, i.body
"""
ORIGINALS = """
SELECT r.replay_of
FROM replays AS r JOIN executions AS e ON e.id = r.execution_id
WHERE e.batch_id = $1
ORDER BY e.batch_line
"""


@pytest.fixture
async def resources(pool: Pool, settings: Settings) -> AsyncIterator[Resources]:
    async with pool.acquire() as conn:
        script = uuid.uuid7()
        await scripts.insert_script(conn, TENANT, script, name="plain", description="")
        for _ in range(2):
            await scripts.insert_version(
                conn, TENANT, script, source=b"x", limits=LimitChoice(), note=""
            )
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def test_items_repeat_what_was_recorded_in_the_given_order(resources: Resources) -> None:
    ids = [await accept(resources, "plain@1", b"%d" % n) for n in range(4)]
    await resources.pool.execute(
        "UPDATE executions SET status = 'cancelled', finished_at = now() WHERE id <> $1", ids[3]
    )
    script = await resources.pool.fetchval("SELECT id FROM scripts")
    other = ResolvedVersion(script_id=script, version=2, archived_at=None)

    async with resources.pool.acquire() as conn:
        wanted = [ids[2], uuid.uuid7(), ids[0], ids[3]]
        same = await insert_replays(resources, conn, CALLER, wanted)
        changed = await insert_replays(resources, conn, CALLER, [ids[1]], version=other)
        with pytest.raises(EmptyBatch):
            await insert_replays(resources, conn, CALLER, [ids[3]])
        recorded = {row["body"]: row for row in await conn.fetch(REPEATED, None)}
        replayed = await conn.fetch(REPEATED, same.id)
        elsewhere = await conn.fetch(REPEATED, changed.id)
        originals = [row["replay_of"] for row in await conn.fetch(ORIGINALS, same.id)]

    assert (same.items, changed.items) == (2, 1)
    assert originals == [ids[2], ids[0]]
    assert [(row["batch_line"], row["body"]) for row in replayed] == [(1, b"2"), (2, b"0")]
    for row in replayed:
        for name in ("seed", "clock_ms", "labels", "version"):
            assert row[name] == recorded[row["body"]][name]
    assert [(row["body"], row["version"]) for row in elsewhere] == [(b"1", 2)]
    assert await resources.pool.fetchval("SELECT count(*) FROM batch_inputs") == 0
