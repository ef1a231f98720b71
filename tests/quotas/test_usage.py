"""Usage counters match the stored rows through every transition of an execution."""

import asyncio
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions import acceptance
from app.executions.dispatch import claims
from app.executions.model import Claim, Finish, Status
from app.limits import LimitChoice, LimitPolicy, Limits
from app.payloads.writer import stored_inline
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.sandbox.protocol import Isolation
from app.scripts import store as scripts
from app.scripts.refs import ScriptRef
from app.tenants.model import DEFAULT_TENANT
from app.tenants.store import insert_tenant
from tests.support.lock_waits import until_one_waits

LIMITS = Limits(wall_ms=1_000, max_cpu_ms=1_000, memory_bytes=2**26, max_output_bytes=1_000)
POLICY = LimitPolicy(default_wall_ms=1_000, default_memory_bytes=2**26, ceilings=LIMITS)


class Queue:
    """Two tenants with a script each, and the transitions of their executions."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.scripts: dict[UUID, UUID] = {}

    async def tenant(self, tenant: UUID, *, max_running: int | None = None) -> None:
        async with self.pool.acquire() as conn:
            if tenant != DEFAULT_TENANT:
                caps = Caps(max_running=max_running)
                await insert_tenant(conn, tenant, name=f"t-{tenant}", weight=100, caps=caps)
            script = self.scripts[tenant] = uuid.uuid7()
            await scripts.insert_script(conn, tenant, script, name="x", description="")
            await scripts.insert_version(
                conn, tenant, script, source=b"x", limits=LimitChoice(), note=""
            )

    async def accept(self, tenant: UUID, count: int = 1, caps: Caps | None = None) -> None:
        async with self.pool.acquire() as conn:
            for _ in range(count):
                await acceptance.insert_execution(
                    conn,
                    tenant,
                    uuid.uuid7(),
                    ref=ScriptRef(script=self.scripts[tenant], selector=1),
                    chosen=LimitChoice(),
                    policy=POLICY,
                    seed=1,
                    labels={},
                    payload=stored_inline(b"12345"),
                    caps=caps or Caps(),
                )

    async def claim(self, most: int, lease_seconds: float = 60) -> list[Claim]:
        async with self.pool.acquire() as conn:
            claimed = await claims.claim(
                conn, uuid.uuid7(), limit=most, lease_seconds=lease_seconds
            )
        return claimed.executions

    async def claims(self, workers: int) -> list[Claim]:
        """Claim for concurrent workers."""
        found = await asyncio.gather(*(self.claim(5) for _ in range(workers)))
        return [held for each in found for held in each]

    async def finish(self, held: Claim, status: Status = Status.SUCCEEDED) -> None:
        failed = status is Status.FAILED
        finish = Finish(
            status=status,
            error_kind=ErrorKind.SCRIPT_ERROR if failed else None,
            error=b"{}" if failed else None,
            v8_version="1",
            isolation=Isolation.ISOLATE,
            run_ms=1.0,
            cpu_ms=1.0,
            peak_memory_bytes=1,
            result=None if failed else stored_inline(b"123"),
            logs=stored_inline(b"log"),
        )
        async with self.pool.acquire() as conn:
            await claims.finish(conn, held, finish)

    async def require_consistent(self) -> None:
        """Compare the counters with the stored rows, for every tenant."""
        counted = await self.pool.fetch(
            """
            SELECT tenant_id, sum(queued)::bigint, sum(stored_bytes)::bigint,
                   sum(day_bytes) FILTER (WHERE day = utc_today())::bigint
            FROM tenant_usage GROUP BY 1 ORDER BY 1
            """
        )
        stored = await self.pool.fetch(
            """
            SELECT t.id,
                   (SELECT count(*) FROM executions AS e
                    WHERE e.tenant_id = t.id AND e.status = 'queued'),
                   (SELECT coalesce(sum(size_bytes), 0)::bigint FROM payloads AS p
                    WHERE p.tenant_id = t.id),
                   (SELECT 5 * count(*) FROM executions AS e WHERE e.tenant_id = t.id)
            FROM tenants AS t WHERE EXISTS (SELECT FROM executions AS e WHERE e.tenant_id = t.id)
            ORDER BY 1
            """
        )
        assert [tuple(row) for row in counted] == [tuple(row) for row in stored]


@pytest.fixture
def queue(pool: Pool) -> Queue:
    return Queue(pool)


async def test_counters_match_through_every_transition(queue: Queue) -> None:
    other = uuid.uuid7()
    for tenant in (DEFAULT_TENANT, other):
        await queue.tenant(tenant)
        await queue.accept(tenant, 12)
        await queue.require_consistent()

    # The executions of both tenants, in one statement.
    succeeded, failed, back, late = (
        await queue.claim(4),
        await queue.claim(4),
        await queue.claim(4),
        await queue.claim(20, lease_seconds=0),
    )
    await queue.require_consistent()
    for held in succeeded:
        await queue.finish(held)
    for held in failed:
        await queue.finish(held, Status.FAILED)
    for held in back:
        async with queue.pool.acquire() as conn:
            await claims.release(conn, held)
    await queue.require_consistent()
    # Half are queued again, half fail as worker_lost.
    await queue.pool.execute(
        "UPDATE executions SET attempts = 9 WHERE id = ANY ($1::uuid[])",
        [held.id for held in late[::2]],
    )
    async with queue.pool.acquire() as conn:
        rescued = await claims.rescue_expired(conn, max_attempts=3, error=b"{}")
    assert {each.status for each in rescued} == {"queued", "failed"}
    await queue.require_consistent()
    # A late report changes nothing, and is not counted.
    await queue.finish(late[0])
    await queue.require_consistent()


async def test_counters_match_after_rollbacks_and_deletions(queue: Queue) -> None:
    await queue.tenant(DEFAULT_TENANT)
    await queue.accept(DEFAULT_TENANT, 3)

    async with queue.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("DELETE FROM payloads")
        await connection.execute("DELETE FROM executions")
        await transaction.rollback()
    await queue.require_consistent()

    await queue.pool.execute("DELETE FROM payloads")
    await queue.pool.execute("DELETE FROM executions WHERE status = 'queued'")
    counted = await queue.pool.fetchrow(
        "SELECT sum(queued)::bigint, sum(stored_bytes)::bigint FROM tenant_usage"
    )
    assert counted is not None
    assert tuple(counted) == (0, 0)


async def test_counters_match_after_concurrent_changes(queue: Queue) -> None:
    others = [uuid.uuid7() for _ in range(3)]
    for tenant in others:
        await queue.tenant(tenant)

    async def work() -> None:
        for held in await queue.claim(5):
            await queue.finish(held)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            for tenant in others:
                tasks.create_task(queue.accept(tenant, 4))
            tasks.create_task(work())

    await queue.require_consistent()


async def test_a_cap_of_running_executions_is_never_exceeded(queue: Queue) -> None:
    capped, free = uuid.uuid7(), uuid.uuid7()
    await queue.tenant(capped, max_running=3)
    await queue.tenant(free)
    await queue.accept(capped, 20)
    await queue.accept(free, 4)

    first = await queue.claims(8)

    assert sorted(held.tenant_id for held in first) == sorted([capped] * 3 + [free] * 4)
    assert await queue.claim(5) == []
    mine = [held for held in first if held.tenant_id == capped]
    await queue.finish(mine[0])
    async with queue.pool.acquire() as conn:
        await claims.release(conn, mine[1])
    again = await queue.claims(8)
    assert [held.tenant_id for held in again] == [capped] * 2


async def test_the_oldest_executions_run_first_within_caps(queue: Queue) -> None:
    capped, free = uuid.uuid7(), uuid.uuid7()
    await queue.tenant(capped, max_running=2)
    await queue.tenant(free)
    for tenant in (free, capped, capped, free, capped):
        await queue.accept(tenant)

    assert [held.tenant_id for held in await queue.claim(3)] == [free, capped, capped]
    assert [held.tenant_id for held in await queue.claim(3)] == [free]


async def test_an_acceptance_near_a_quota_waits_for_the_other_to_commit(queue: Queue) -> None:
    await queue.tenant(DEFAULT_TENANT)
    caps = Caps(max_queued=1)
    async with queue.pool.acquire() as conn, conn.transaction():
        await acceptance.insert_execution(
            conn,
            DEFAULT_TENANT,
            uuid.uuid7(),
            ref=ScriptRef(script=queue.scripts[DEFAULT_TENANT], selector=1),
            chosen=LimitChoice(),
            policy=POLICY,
            seed=1,
            labels={},
            payload=stored_inline(b"12345"),
            caps=caps,
        )
        second = asyncio.create_task(queue.accept(DEFAULT_TENANT, caps=caps))
        await until_one_waits(queue.pool, second)

    with pytest.raises(QuotaExceeded):
        await second
    await queue.require_consistent()
