"""Tenants with queued executions, driven directly against the database."""

from uuid import UUID

import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions import acceptance, cancellations
from app.executions.dispatch import claims
from app.executions.dispatch.completion_report import CompletedExecution
from app.executions.model import Claim, Finish, SlotUsage, Status
from app.limits import LimitChoice, LimitPolicy, Limits
from app.payloads.writer import stored_inline
from app.quotas.model import Caps
from app.sandbox.pool import Room
from app.sandbox.protocol import Isolation
from app.scripts import store as scripts
from app.scripts.refs import ScriptRef
from app.tenants.store import insert_tenant

LIMITS = Limits(wall_ms=1_000, max_cpu_ms=1_000, memory_bytes=2**32, max_output_bytes=1_000)
POLICY = LimitPolicy(default_wall_ms=1_000, default_memory_bytes=2**26, ceilings=LIMITS)
SUCCESS = Finish(
    status=Status.SUCCEEDED,
    error_kind=None,
    error=None,
    v8_version="1",
    isolation=Isolation.ISOLATE,
    run_ms=1.0,
    cpu_ms=1.0,
    peak_memory_bytes=1,
    result=None,
    logs=None,
)
FAILURE = replace(
    SUCCESS,
    status=Status.FAILED,
    error_kind=ErrorKind.SCRIPT_ERROR,
    error=b'{"kind": "script_error", "message": "no"}',
)


class Queues:
    """Tenants, their executions, and a worker that claims them without running any."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.worker = uuid.uuid7()
        self._scripts: dict[UUID, UUID] = {}

    async def tenant(
        self, *, weight: int = 100, max_running: int | None = None, source: bytes = b"x"
    ) -> UUID:
        tenant, script = uuid.uuid7(), uuid.uuid7()
        caps = Caps(max_running=max_running)
        async with self.pool.acquire() as conn:
            await insert_tenant(conn, tenant, name=f"t-{tenant}", weight=weight, caps=caps)
            await scripts.insert_script(conn, tenant, script, name="x", description="")
            await scripts.insert_version(
                conn, tenant, script, source=source, limits=LimitChoice(), note=""
            )
        self._scripts[tenant] = script
        return tenant

    async def accept(  # noqa: PLR0913 - one for each thing a test may want to choose
        self,
        tenant: UUID,
        count: int = 1,
        *,
        priority: int = 0,
        memory_bytes: int = 2**26,
        labels: dict[str, str] | None = None,
        params: bytes | None = None,
        ids: list[UUID] | None = None,
        may_hand_over: bool = False,
        callback_url: str | None = None,
    ) -> list[UUID]:
        ids = ids or [uuid.uuid7() for _ in range(count)]
        async with self.pool.acquire() as conn:
            for each in ids:
                await acceptance.insert_execution(
                    conn,
                    tenant,
                    each,
                    ref=ScriptRef(script=self._scripts[tenant], selector=1),
                    chosen=LimitChoice(memory_bytes=memory_bytes),
                    policy=POLICY,
                    seed=1,
                    labels=labels or {},
                    params=params,
                    may_hand_over=may_hand_over,
                    payload=stored_inline(b"1"),
                    caps=Caps(),
                    priority=priority,
                    callback_url=callback_url,
                )
        return ids

    async def claim(
        self,
        limit: int = 1,
        *,
        ahead: int = 0,
        lease_seconds: float = 60,
        slot_usage: tuple[SlotUsage, ...] = (),
        room: Room | None = None,
    ) -> list[Claim]:
        async with self.pool.acquire() as conn:
            claimed = await claims.claim(
                conn,
                self.worker,
                limit=limit,
                ahead=ahead,
                lease_seconds=lease_seconds,
                served=slot_usage,
                room=room,
            )
        return claimed.executions

    async def finish(self, claim: Claim, result: Finish = SUCCESS) -> CompletedExecution | None:
        async with self.pool.acquire() as conn:
            return await claims.finish(conn, claim, result)

    async def release(self, claim: Claim) -> bool:
        async with self.pool.acquire() as conn:
            return await claims.release(conn, claim)

    async def rescue(self, max_attempts: int = 3) -> list[claims.Rescued]:
        async with self.pool.acquire() as conn:
            return await claims.rescue_expired(conn, max_attempts=max_attempts, error=b"{}")

    async def cancel(self, tenant: UUID, execution_id: UUID) -> Status | None:
        async with self.pool.acquire() as conn:
            return await cancellations.cancel(conn, tenant, execution_id)

    async def status(self, execution_id: UUID) -> Status:
        status = await self.pool.fetchval(
            "SELECT status FROM executions WHERE id = $1", execution_id
        )
        return Status(status)

    async def require_consistent(self) -> None:
        """Assert that the queue holds exactly the queued executions."""
        queued = await self.pool.fetch(
            "SELECT tenant_id, priority, id FROM executions WHERE status = 'queued' ORDER BY id"
        )
        queue = await self.pool.fetch(
            "SELECT tenant_id, priority, execution_id FROM queue ORDER BY execution_id"
        )
        assert [tuple(row) for row in queue] == [tuple(row) for row in queued]
