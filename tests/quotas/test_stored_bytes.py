"""The quota of stored bytes holds exactly for results and logs."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool, open_pool
from app.executions.dispatch import claims
from app.executions.dispatch.completion import within_quota
from app.executions.dispatch.stored_bytes import StoredBytesExceeded
from app.executions.model import Claim, Finish, Status
from app.payloads.writer import stored_inline
from app.settings import Settings
from tests.quotas.test_usage import Queue
from tests.support.queues import SUCCESS
from tests.support.system import until
from tests.support.system_with_keys import SystemWithKeys

CAP = 2_000
INPUT = 5


@pytest.fixture
async def wide_pool(pool: Pool, settings: Settings) -> AsyncIterator[Pool]:  # noqa: ARG001 - cleans
    """A pool with a connection for each concurrent worker of a test."""
    async with open_pool(replace(settings, db_pool_size=16)) as wide:
        yield wide


def _finish(result: bytes, logs: bytes | None = None) -> Finish:
    return replace(
        SUCCESS,
        result=stored_inline(result),
        logs=None if logs is None else stored_inline(logs),
    )


async def _record(pool: Pool, held: Claim, finish: Finish) -> Finish:
    """Record what the quota has room for, as a worker does."""
    while True:
        try:
            async with pool.acquire() as conn:
                assert await claims.finish(conn, held, finish) is not None
        except StoredBytesExceeded as over:
            finish = within_quota(finish, over)
        else:
            return finish


async def _held(pool: Pool, count: int, cap: int | None = CAP) -> tuple[UUID, list[Claim]]:
    tenant, queue = uuid.uuid7(), Queue(pool)
    await queue.tenant(tenant)
    await pool.execute("UPDATE tenants SET max_stored_bytes = $2 WHERE id = $1", tenant, cap)
    await queue.accept(tenant, count)
    return tenant, await queue.claim(count)


async def _stored(pool: Pool, tenant: UUID) -> int:
    found: int = await pool.fetchval(
        "SELECT sum(size_bytes)::bigint FROM payloads WHERE tenant_id = $1", tenant
    )
    return found


async def test_results_at_once_fill_a_quota_and_do_not_pass_it(wide_pool: Pool) -> None:
    tenant, held = await _held(wide_pool, 16)

    done = await asyncio.gather(*(_record(wide_pool, each, _finish(b"x" * 300)) for each in held))

    # 16 inputs of 5 bytes leave 1,920: six results of 300.
    assert [each.status for each in done].count(Status.SUCCEEDED) == 6
    assert await _stored(wide_pool, tenant) == 16 * INPUT + 6 * 300
    refused = next(each for each in done if each.status is Status.FAILED)
    error = json.loads(refused.error or b"")
    assert error["kind"] == "output_too_large"
    assert "quota of stored bytes" in error["message"]
    assert error["limit_bytes"] < 300


async def test_a_result_that_fits_to_the_byte_is_stored(wide_pool: Pool) -> None:
    tenant, [held] = await _held(wide_pool, 1)

    done = await _record(wide_pool, held, _finish(b"x" * (CAP - INPUT)))

    assert done.status is Status.SUCCEEDED
    assert await _stored(wide_pool, tenant) == CAP


async def test_a_result_one_byte_too_large_is_not_stored(wide_pool: Pool) -> None:
    tenant, [held] = await _held(wide_pool, 1)

    done = await _record(wide_pool, held, _finish(b"x" * (CAP - INPUT + 1)))

    assert done.status is Status.FAILED
    assert await _stored(wide_pool, tenant) == INPUT


async def test_logs_are_dropped_for_a_result_and_their_lines_counted(
    wide_pool: Pool,
) -> None:
    tenant, [held] = await _held(wide_pool, 1)
    logs = json.dumps(
        {"lines": [{"level": "log", "text": "\ud800" * 99}] * 3, "lines_dropped": 4}
    ).encode()

    done = await _record(wide_pool, held, _finish(b"x" * (CAP - INPUT), logs))

    assert done.status is Status.SUCCEEDED
    assert done.logs is not None
    assert json.loads(done.logs.body or b"") == {"lines": [], "lines_dropped": 7}
    assert await _stored(wide_pool, tenant) == CAP + done.logs.size_bytes
    assert done.logs.size_bytes <= 64


async def test_the_installations_default_applies_without_an_own_quota(
    pool: Pool, settings: Settings
) -> None:
    async with open_pool(replace(settings, default_max_stored_bytes=100)) as bounded:
        _, [held, other] = await _held(bounded, 2, cap=None)
        done = await _record(bounded, held, _finish(b"x" * 101))
        unbounded = await _record(pool, other, _finish(b"x" * 101))

    assert done.status is Status.FAILED
    assert unbounded.status is Status.SUCCEEDED


def test_a_result_over_the_quota_fails_with_an_error_that_names_it(keyed: SystemWithKeys) -> None:
    cap = 4 * 1024 * 1024
    tenant = keyed.tenant("bounded-results")
    keyed.request("PATCH", f"/tenants/{tenant}", json={"caps": {"max_stored_bytes": cap}})
    key = keyed.key(tenant).key
    source = "function process(data) { console.log('made'); return 'x'.repeat(data * 1024 * 1024) }"
    assert keyed.post("/scripts", key, json={"name": "grow", "source": source}).status_code == 201

    def run(size_mib: int) -> dict[str, Any]:
        wait = {"Prefer": "wait=60"}
        content = str(size_mib).encode()
        ran = keyed.post("/scripts/grow/executions", key, content=content, headers=wait)
        assert ran.status_code == 200, ran.text
        found: dict[str, Any] = ran.json()
        return found

    # All in the blob store; the third is a dozen times the quota.
    kept, small, refused = run(2), run(1), run(48)

    assert [each["status"] for each in (kept, small, refused)] == [
        "succeeded",
        "succeeded",
        "failed",
    ]
    assert refused["error"]["kind"] == "output_too_large"
    assert "quota of stored bytes" in refused["error"]["message"]
    assert refused["receipt"]["output"] is None
    assert keyed.get(f"/executions/{refused['id']}/result", key).status_code == 404
    logs = keyed.get(f"/executions/{refused['id']}/logs", key).json()
    assert [line["text"] for line in logs["lines"]] == ["made"]
    blobs = keyed.system.folder / "blobs" / tenant / "results"
    for _ in until("what was left out is removed"):
        if len([each for each in blobs.rglob("*") if each.is_file()]) == 2:
            break
