"""Measure claims with a large queue and a large history, in a database of their own."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import make_url

from app.db import set_codecs
from app.executions.dispatch import claims
from app.executions.model import Claim, Finish, SlotUsage, Status
from app.sandbox.protocol import Isolation
from scripts.benchmarks.output import Line, new_line, percentile
from scripts.benchmarks.plan import Plan
from scripts.benchmarks.systems import migrate

_CLAIM_P95_MS: Final = 2.0
_TENANTS: Final = 10
_FEW: Final = 1_000
_QUEUED: Final = 1_000_000
_FINISHED: Final = 5_000_000
_BATCH: Final = 250_000
_LEASE_SECONDS: Final = 3_600.0
_USAGE_SECONDS: Final = 0.005

_TENANT: Final = """
INSERT INTO tenants (id, name)
SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'tenant-' || n
FROM generate_series(0, $1::integer - 1) AS n
"""
_SCRIPT: Final = """
INSERT INTO scripts (id, tenant_id, name) SELECT $1, id, 'claims' FROM tenants LIMIT 1
"""
_VERSION: Final = """
INSERT INTO script_versions (script_id, version, tenant_id, source, sha256)
SELECT id, 1, tenant_id, 'function process(data) { return data }', sha256('claims')
FROM scripts WHERE id = $1
"""
# Ids ordered by time, tenants interleaved, 1,000 rows per second of the past.
_ROWS: Final = """
INSERT INTO executions (id, tenant_id, script_id, version, status, wall_ms, max_cpu_ms,
                        memory_bytes, max_output_bytes, seed, clock_ms, created_at, started_at,
                        finished_at, attempts, v8_version, run_ms, cpu_ms, peak_memory_bytes)
SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-7000-9000-' || lpad(to_hex(n % $5), 12, '0'))::uuid,
       $1, 1, $4, 10000, 10000, 536870912, 268435456, n, 1700000000000 + n,
       moment, moment_of_end, moment_of_end,
       CASE WHEN moment_of_end IS NULL THEN 0 ELSE 1 END, '14.4.258.23', 3.5, 3.1, 40000000
FROM generate_series($2::bigint, $3::bigint - 1) AS n,
     LATERAL (SELECT to_timestamp(1700000000 + n / 1000.0) AS moment) AS m,
     LATERAL (SELECT CASE WHEN $4 <> 'queued' THEN moment END AS moment_of_end) AS e
"""
_QUEUE: Final = """
INSERT INTO queue (tenant_id, priority, execution_id)
SELECT tenant_id, priority, id FROM executions
WHERE status = 'queued' AND clock_ms >= 1700000000000 + $1::bigint
"""
_INPUTS: Final = """
INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body)
SELECT id, 'input', tenant_id, sha256('[]'), 2, '[]' FROM executions
WHERE status = 'queued' AND clock_ms >= 1700000000000 + $1::bigint
"""
_DONE: Final = Finish(
    status=Status.SUCCEEDED,
    error_kind=None,
    error=None,
    v8_version="14.4.258.23",
    isolation=Isolation.ISOLATE,
    run_ms=3.5,
    cpu_ms=3.1,
    peak_memory_bytes=40_000_000,
    result=None,
    logs=None,
)


async def measure_claims(plan: Plan) -> list[Line]:
    """Measure claims of one execution per core: with few and many queued, and many finished."""
    few, queued, finished = (100, 500, 500) if plan.quick else (_FEW, _QUEUED, _FINISHED)
    count = 5 if plan.quick else 300
    async with _database(plan.crivo.database_url) as conn:
        rows = _Rows(conn)
        await rows.prepare()
        await rows.queue(few + plan.runs * count * 3 * _batch_size())
        small = [await _claim_p95_ms(conn, count) for _ in range(plan.runs)]
        await rows.queue(queued)
        long_queue = [await _claim_p95_ms(conn, count) for _ in range(plan.runs)]
        await rows.finish(finished)
        long_history = [await _claim_p95_ms(conn, count) for _ in range(plan.runs)]
    baseline = (f"with a queue of thousands and no history, by {_TENANTS} tenants", small)
    return [
        new_line(
            "claim-1m-queued", unit="ms", goal=_CLAIM_P95_MS, runs=long_queue, baseline=baseline
        ),
        new_line(
            "claim-1m-queued-5m-finished",
            unit="ms",
            goal=_CLAIM_P95_MS,
            runs=long_history,
            baseline=baseline,
        ),
    ]


class _Rows:
    """Inserts executions by SQL without triggers, which would take hours."""

    def __init__(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._conn = conn
        self._script = uuid4()
        self._next = 0

    async def prepare(self) -> None:
        await self._conn.execute(_TENANT, _TENANTS)
        await self._conn.execute(_SCRIPT, self._script)
        await self._conn.execute(_VERSION, self._script)

    async def queue(self, count: int) -> None:
        first = self._next
        async with self._conn.transaction():
            await self._conn.execute("SET LOCAL session_replication_role = replica")
            await self._write(count, "queued")
            await self._conn.execute(_QUEUE, first)
            await self._conn.execute(_INPUTS, first)
        await self._conn.execute("VACUUM ANALYZE")

    async def finish(self, count: int) -> None:
        for written in range(0, count, _BATCH):
            async with self._conn.transaction():
                await self._conn.execute("SET LOCAL session_replication_role = replica")
                await self._write(min(_BATCH, count - written), "succeeded")
        await self._conn.execute("VACUUM ANALYZE")

    async def _write(self, count: int, status: str) -> None:
        end = self._next + count
        await self._conn.execute(_ROWS, self._script, self._next, end, status, _TENANTS)
        self._next = end


async def _claim_p95_ms(conn: "asyncpg.Connection[asyncpg.Record]", count: int) -> float:
    worker = uuid4()
    durations_ms = []
    running: list[Claim] = []
    for _ in range(count):
        usage = [SlotUsage(tenant=each.tenant_id, seconds=_USAGE_SECONDS) for each in running]
        began = time.perf_counter()
        claimed = await claims.claim(
            conn, worker, limit=_batch_size(), lease_seconds=_LEASE_SECONDS, served=usage
        )
        running = claimed.executions
        durations_ms.append((time.perf_counter() - began) * 1_000)
        if len(running) != _batch_size():
            raise RuntimeError(f"{len(running)} claimed")
        for each in running:
            await claims.finish(conn, each, _DONE)
    return percentile(durations_ms, 0.95)


def _batch_size() -> int:
    return os.cpu_count() or 1


@asynccontextmanager
async def _database(
    admin_url: str,
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Create and migrate a database on the same server; drop it with the context."""
    name = f"claims_{UUID(int=time.time_ns()).hex}"
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        url = make_url(admin_url).set(database=name).render_as_string(hide_password=False)
        migrate(url)
        conn = await asyncpg.connect(url)
        await set_codecs(conn)
        try:
            yield conn
        finally:
            await conn.close()
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()
