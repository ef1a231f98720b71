"""Readers that one notice wakes read in one statement, each its own execution."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec import UNSET
from msgspec.structs import replace

from app.db import Connection, Pool
from app.executions import store
from app.executions.model import Execution
from app.executions.waiting.outcomes import decode_outcome
from app.executions.waiting.readers import read_execution
from app.lanes import MAX_SHARED_BYTES
from app.notifications import Notice
from app.payloads.writer import stored_inline
from app.progress.waiters import WaiterRegistry
from app.resources import Resources
from tests.support.queues import SUCCESS, Queues


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many executions each statement reads; the statements are the real ones."""
    sizes: list[int] = []
    select_one, select_several = store.select_execution, store.select_executions

    async def one(
        conn: Connection, tenant: UUID, each: UUID, *, with_result: bool
    ) -> Execution | None:
        sizes.append(1)
        return await select_one(conn, tenant, each, with_result=with_result)

    async def several(
        conn: Connection, tenant: UUID, ids: Sequence[UUID], *, with_result: bool, max_bytes: int
    ) -> list[Execution | None]:
        sizes.append(len(ids))
        return await select_several(conn, tenant, ids, with_result=with_result, max_bytes=max_bytes)

    monkeypatch.setattr(store, "select_execution", one)
    monkeypatch.setattr(store, "select_executions", several)
    return sizes


async def test_readers_woken_by_one_notice_read_in_one_statement(
    queues: Queues, resources: Resources, statements: list[int]
) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 6)
    registry = WaiterRegistry(decode_outcome, limit=10, tenant_limit=10)

    async def read(execution: UUID) -> Execution | None:
        with registry.waiter(tenant, final_only=True) as waiter:
            waiter.register(execution)
            assert await waiter.wait(until=asyncio.get_running_loop().time() + 60)
            return await read_execution(resources, tenant, execution, with_result=True)

    reading = [asyncio.create_task(read(each)) for each in ids]
    while len(registry) < 6:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    registry.on_notice(Notice(ended=tuple(ids)))
    found = await asyncio.gather(*reading)

    assert [None if each is None else each.id for each in found] == ids
    assert statements == [6]


async def test_a_single_reader_reads_by_itself(
    queues: Queues, resources: Resources, statements: list[int]
) -> None:
    tenant = await queues.tenant()
    for each in await queues.accept(tenant, 2):
        await read_execution(resources, tenant, each, with_result=True)

    assert statements == [1, 1]


async def test_tenants_are_read_apart_and_see_only_their_own(
    queues: Queues, resources: Resources, statements: list[int]
) -> None:
    tenant, other = await queues.tenant(), await queues.tenant()
    [mine], [theirs] = await queues.accept(tenant), await queues.accept(other)

    found = await asyncio.gather(
        *(
            read_execution(resources, reader, each, with_result=True)
            for reader in (tenant, other)
            for each in (mine, theirs, uuid.uuid7())
        )
    )

    assert [None if each is None else each.id for each in found] == [
        mine, None, None, None, theirs, None,
    ]  # fmt: skip
    # An execution that a group does not find is read alone.
    assert sorted(statements) == [1, 1, 1, 1, 3, 3]


@pytest.mark.parametrize("with_result", [True, False])
async def test_a_large_result_is_read_alone(
    queues: Queues, resources: Resources, statements: list[int], *, with_result: bool
) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 4)
    large = stored_inline(b"1" * (MAX_SHARED_BYTES + 1))
    [claim] = await queues.claim(1)
    await queues.finish(claim, replace(SUCCESS, result=large))

    found = await asyncio.gather(
        *(read_execution(resources, tenant, each, with_result=with_result) for each in ids)
    )

    assert [each and each.id for each in found] == ids
    assert statements == ([4, 1] if with_result else [4])
    results = [each.result for each in found if each and each.result is not UNSET]
    assert [bytes(each) for each in results] == ([large.body] if with_result else [])


async def test_several_read_as_one_reads(queues: Queues, pool: Pool) -> None:
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 3)
    [claim] = await queues.claim(1)
    await queues.finish(claim)

    async with pool.acquire() as conn:
        for with_result in (True, False):
            several = await store.select_executions(
                conn, tenant, ids, with_result=with_result, max_bytes=0
            )
            singles = [
                await store.select_execution(conn, tenant, each, with_result=with_result)
                for each in ids
            ]
            assert several == singles
