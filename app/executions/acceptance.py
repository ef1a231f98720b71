"""Accept an execution: version, limits, quotas and input in one statement."""

from typing import Final
from uuid import UUID

import asyncpg
from msgspec import structs

from app.db import Connection
from app.errors import CrivoError
from app.idempotency.model import IdempotencyKey
from app.idempotency.store import refusal
from app.limits import MIN_MEMORY_BYTES, WORKER_TIMEOUT_SECONDS, LimitChoice, LimitPolicy
from app.payloads.model import StoredPayload
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef
from app.scripts.resolution_store import RESOLVED_VERSION, reference_columns, resolved
from app.sql_parameters import in_order
from app.workers.model import NoWorkerLargeEnough

# The lease of an execution that is handed over to a worker, until the worker has begun it.
HAND_OVER_SECONDS: Final = 1.0


class QuotaCameNear(CrivoError):
    """The transaction has to run again: the next attempt takes the quotas' exclusive lock."""


class HandedOver(ResolvedVersion, frozen=True, kw_only=True):
    """The version of an execution that a worker has already, so none need be woken."""


# One statement, thus one transaction and one round trip: it resolves the version, checks the quotas
# and stores the execution with its input, or it stores nothing and the row says why.
#
# `accepted_at` is read once; the script's clock shows the same moment, or that of the execution
# which is replayed. CPU time has no default of its own: it is that of wall time, which one thread
# cannot exceed. A version's limit from a time of higher ceilings is lowered to today's. A chosen
# memory limit that no live worker can enforce is refused; the default is lowered to what they can
# enforce. While no worker is alive, or one does not report its limit, any limit is accepted.
INSERT_EXECUTION = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS script_id,
           $3::text AS script_name,
           $4::integer AS version,
           $5::text AS alias,
           $6::uuid AS execution_id,
           $7::integer AS wall_ms,
           $8::integer AS max_cpu_ms,
           $9::bigint AS memory_bytes,
           $10::bigint AS max_output_bytes,
           $11::integer AS default_wall_ms,
           $12::bigint AS default_memory_bytes,
           $13::integer AS ceiling_wall_ms,
           $14::integer AS ceiling_cpu_ms,
           $15::bigint AS ceiling_memory_bytes,
           $16::bigint AS ceiling_output_bytes,
           $17::jsonb AS labels,
           $18::bigint AS seed,
           $19::smallint AS priority,
           $20::text AS traceparent,
           $21::text AS request_id,
           $22::bytea AS input_sha256,
           $23::bigint AS input_bytes,
           $24::bytea AS input_body,
           $25::text AS input_blob_key,
           $26::bytea AS params,
           $27::bigint AS max_queued,
           $28::bigint AS max_stored_bytes,
           $29::bigint AS max_bytes_per_day,
           $30::float8 AS seen_within_seconds,
           $31::boolean AS may_hand_over,
           $32::text AS callback_url,
           $33::text AS idempotency_key,
           $34::bytea AS fingerprint,
           $35::integer AS idempotency_hours,
           $36::bigint AS clock_ms,
           $37::text AS media_type,
           $38::text AS recorded_type
),
earlier AS MATERIALIZED (
    SELECT k.in_progress, k.fingerprint, k.resource
    FROM parameters,
         find_idempotency_key_v1(
             tenant => parameters.tenant_id, wanted_key => parameters.idempotency_key
         ) AS k
    WHERE parameters.idempotency_key IS NOT NULL
),
clock AS MATERIALIZED (SELECT clock_timestamp() AS accepted_at),
script AS MATERIALIZED {RESOLVED_VERSION},
workforce AS MATERIALIZED (
    SELECT CASE WHEN count(*) = count(w.max_memory_bytes) THEN max(w.max_memory_bytes) END
           AS max_memory_bytes
    FROM parameters, workers AS w
    WHERE w.seen_at > now() - make_interval(secs => parameters.seen_within_seconds)
),
memory AS MATERIALIZED (
    SELECT least(coalesce(parameters.memory_bytes,
                          script.memory_bytes,
                          greatest(least(parameters.default_memory_bytes,
                                         workforce.max_memory_bytes),
                                   {MIN_MEMORY_BYTES})),
                 parameters.ceiling_memory_bytes) AS limit_bytes,
           workforce.max_memory_bytes
    FROM parameters, script, workforce
),
refusal AS MATERIALIZED (
    SELECT q.quota, q.cap, q.used
    FROM parameters,
         quota_against_execution_v2(
             tenant => parameters.tenant_id,
             size_bytes => parameters.input_bytes,
             max_queued => parameters.max_queued,
             max_stored_bytes => parameters.max_stored_bytes,
             max_bytes_per_day => parameters.max_bytes_per_day
         ) AS q
    WHERE NOT EXISTS (SELECT FROM earlier)
),
slot AS MATERIALIZED (
    SELECT s.worker_id, s.lease_token
    FROM parameters, script, memory,
         hand_over_execution_v1(
             tenant => parameters.tenant_id,
             execution => parameters.execution_id,
             memory_bytes => memory.limit_bytes,
             acceptable => parameters.may_hand_over
                 AND script.has_process AND script.archived_at IS NULL
                 AND NOT EXISTS (SELECT FROM earlier)
                 AND NOT EXISTS (SELECT FROM refusal)
                 AND (memory.limit_bytes > memory.max_memory_bytes) IS NOT TRUE
         ) AS s
),
accepted AS (
    INSERT INTO executions
           (id, tenant_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes,
            labels, seed, priority, traceparent, request_id, callback_url, created_at, clock_ms,
            status, worker_id, lease_token, started_at, lease_expires_at)
    SELECT parameters.execution_id, parameters.tenant_id, script.script_id, script.version,
           least(coalesce(parameters.wall_ms, script.wall_ms, parameters.default_wall_ms),
                 parameters.ceiling_wall_ms),
           least(coalesce(parameters.max_cpu_ms, script.max_cpu_ms,
                          parameters.wall_ms, script.wall_ms, parameters.default_wall_ms),
                 parameters.ceiling_cpu_ms),
           memory.limit_bytes,
           least(coalesce(parameters.max_output_bytes, script.max_output_bytes),
                 parameters.ceiling_output_bytes),
           parameters.labels, parameters.seed, parameters.priority, parameters.traceparent,
           parameters.request_id, parameters.callback_url, clock.accepted_at,
           coalesce(parameters.clock_ms, floor(extract(epoch FROM clock.accepted_at) * 1000)),
           CASE WHEN slot.worker_id IS NULL THEN 'queued' ELSE 'running' END,
           slot.worker_id, slot.lease_token,
           CASE WHEN slot.worker_id IS NOT NULL THEN clock.accepted_at END,
           CASE WHEN slot.worker_id IS NOT NULL
                THEN clock_timestamp() + make_interval(secs => {HAND_OVER_SECONDS}) END
    FROM parameters, script, clock, memory LEFT JOIN slot ON true
    WHERE script.has_process AND script.archived_at IS NULL
      AND NOT EXISTS (SELECT FROM earlier)
      AND NOT EXISTS (SELECT FROM refusal)
      AND (memory.limit_bytes > memory.max_memory_bytes) IS NOT TRUE
    RETURNING id
),
stored AS (
    INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key,
                          media_type)
    SELECT accepted.id, 'input', parameters.tenant_id, parameters.input_sha256,
           parameters.input_bytes, parameters.input_body, parameters.input_blob_key,
           coalesce(parameters.recorded_type,
                    CASE WHEN script.io = 'bytes' THEN parameters.media_type END)
    FROM accepted, parameters, script
    UNION ALL
    SELECT accepted.id, 'params', parameters.tenant_id, sha256(parameters.params),
           length(parameters.params), parameters.params, NULL, NULL
    FROM accepted, parameters
    WHERE parameters.params IS NOT NULL
),
remembered AS (
    INSERT INTO idempotency_keys AS k (tenant_id, key, fingerprint, resource, expires_at)
    SELECT parameters.tenant_id, parameters.idempotency_key, parameters.fingerprint,
           accepted.id::text,
           clock.accepted_at + make_interval(hours => parameters.idempotency_hours)
    FROM accepted, parameters, clock
    WHERE parameters.idempotency_key IS NOT NULL
    ON CONFLICT (tenant_id, key)
    DO UPDATE SET fingerprint = excluded.fingerprint,
                  resource = excluded.resource,
                  expires_at = excluded.expires_at
    WHERE k.tenant_id = excluded.tenant_id
)
SELECT script.script_id, script.version, script.archived_at, script.io,
       script.has_process,
       refusal.quota, refusal.cap, refusal.used,
       memory.limit_bytes, memory.max_memory_bytes,
       slot.worker_id IS NOT NULL AS handed_over,
       earlier.in_progress, earlier.fingerprint, earlier.resource
FROM clock
LEFT JOIN earlier ON true
LEFT JOIN slot ON true
LEFT JOIN script ON true
LEFT JOIN refusal ON true
LEFT JOIN memory ON true
"""  # noqa: S608 - put together from constants


async def insert_execution(  # noqa: PLR0913 - one parameter a column
    conn: Connection,
    tenant: UUID,
    execution_id: UUID,
    *,
    ref: ScriptRef,
    chosen: LimitChoice,
    policy: LimitPolicy,
    seed: int,
    labels: dict[str, str],
    payload: StoredPayload,
    caps: Caps,
    params: bytes | None = None,
    priority: int = 0,
    traceparent: str | None = None,
    request_id: str | None = None,
    may_hand_over: bool = False,
    callback_url: str | None = None,
    clock_ms: int | None = None,
    media_type: str | None = None,
    key: IdempotencyKey | None = None,
    key_hours: int = 24,
) -> ResolvedVersion | UUID | None:
    """Store an execution as queued, once for each idempotency key, and return its version.

    With `may_hand_over` it goes to a worker that has offered a slot, if possible, and the version
    is a HandedOver; no default of running caps may be in force. An input that is recorded already
    keeps its media type; another one gets `media_type` if the version takes bytes.

    Nothing is stored if the returned version is archived or has no `process`, or if the script has
    no such version (its id alone is returned) or does not exist (None). Raises QuotaExceeded,
    NoWorkerLargeEnough, Repeated, IdempotencyKeyReused, RequestInProgress; within a transaction
    QuotaCameNear.
    """
    values = in_order(
        INSERT_EXECUTION,
        tenant_id=tenant,
        **reference_columns(ref),
        execution_id=execution_id,
        wall_ms=chosen.wall_ms,
        max_cpu_ms=chosen.max_cpu_ms,
        memory_bytes=chosen.memory_bytes,
        max_output_bytes=chosen.max_output_bytes,
        default_wall_ms=policy.default_wall_ms,
        default_memory_bytes=policy.default_memory_bytes,
        ceiling_wall_ms=policy.ceilings.wall_ms,
        ceiling_cpu_ms=policy.ceilings.max_cpu_ms,
        ceiling_memory_bytes=policy.ceilings.memory_bytes,
        ceiling_output_bytes=policy.ceilings.max_output_bytes,
        labels=labels,
        seed=seed,
        priority=priority,
        traceparent=traceparent,
        request_id=request_id,
        input_sha256=payload.sha256,
        input_bytes=payload.size_bytes,
        input_body=payload.body,
        input_blob_key=payload.blob_key,
        params=params,
        max_queued=caps.max_queued,
        max_stored_bytes=caps.max_stored_bytes,
        max_bytes_per_day=caps.max_bytes_per_day,
        seen_within_seconds=WORKER_TIMEOUT_SECONDS,
        may_hand_over=may_hand_over,
        callback_url=callback_url,
        idempotency_key=None if key is None else key.text,
        fingerprint=None if key is None else key.fingerprint,
        idempotency_hours=key_hours,
        clock_ms=clock_ms,
        media_type=media_type,
        recorded_type=payload.media_type,
    )
    row = await _fetch_row(conn, INSERT_EXECUTION, *values)
    assert row is not None  # noqa: S101 - the statement returns a row in every case
    if key is not None and row["in_progress"] is not None:
        raise refusal(key, row)
    version = resolved(row)
    if isinstance(version, ResolvedVersion) and row["quota"] is not None:
        raise QuotaExceeded(row["quota"], limit=row["cap"], used=row["used"])
    limit, largest = row["limit_bytes"], row["max_memory_bytes"]
    if isinstance(version, ResolvedVersion) and largest is not None and limit > largest:
        raise NoWorkerLargeEnough(
            f"the memory limit is {limit} bytes; no live worker can enforce more than {largest}"
        )
    if isinstance(version, ResolvedVersion) and row["handed_over"]:
        return HandedOver(**structs.asdict(version))
    return version


# The function is in migrations/sql/quota_against_execution_v2.sql.
SELECT_REFUSAL = """
SELECT quota, cap, used
FROM quota_against_execution_v2(
    tenant => $1, size_bytes => $2,
    max_queued => $3, max_stored_bytes => $4, max_bytes_per_day => $5
)
"""


async def require_room(conn: Connection, tenant: UUID, *, size_bytes: int, caps: Caps) -> None:
    """Check that an input of `size_bytes` is within the tenant's quotas. Raises QuotaExceeded."""
    quotas = (caps.max_queued, caps.max_stored_bytes, caps.max_bytes_per_day)
    refusal = await _fetch_row(conn, SELECT_REFUSAL, tenant, size_bytes, *quotas)
    if refusal is not None:
        raise QuotaExceeded(refusal["quota"], limit=refusal["cap"], used=refusal["used"])


async def _fetch_row(conn: Connection, statement: str, *values: object) -> asyncpg.Record | None:
    while True:
        try:
            return await conn.fetchrow(statement, *values)
        except asyncpg.SerializationError:
            # The tenant came near a quota meanwhile. Nothing was done; the next attempt takes the
            # exclusive lock.
            if conn.is_in_transaction():
                raise QuotaCameNear from None
