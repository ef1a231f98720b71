"""Accept several executions of one tenant in one statement."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.executions.model import Submission, media_type_of
from app.idempotency.model import IdempotencyKey
from app.limits import MIN_MEMORY_BYTES, WORKER_TIMEOUT_SECONDS, LimitPolicy
from app.payloads.model import StoredPayload
from app.quotas.model import Caps
from app.scripts.model import ResolvedVersion
from app.scripts.refs import ScriptRef
from app.scripts.resolution_store import RESOLVED_VERSION, reference_columns
from app.sql_parameters import in_order

# The function is in migrations/sql/accept_executions_v3.sql. It stores executions of versions
# without `process`, too: if one is among them, it is not called. One that an alias comes to name
# while it waits fails as it runs.
INSERT_EXECUTIONS = f"""
WITH given AS MATERIALIZED (
    SELECT $1::uuid AS tenant,
           $3::uuid[] AS script_ids,
           $4::text[] AS script_names,
           $5::integer[] AS script_versions,
           $6::text[] AS aliases
),
parameters AS MATERIALIZED (
    SELECT DISTINCT given.tenant AS tenant_id, u.script_id, u.script_name, u.version, u.alias
    FROM given,
         unnest(given.script_ids, given.script_names, given.script_versions, given.aliases)
         AS u (script_id, script_name, version, alias)
),
executable AS MATERIALIZED (
    SELECT given.*
    FROM given
    WHERE NOT EXISTS (SELECT FROM {RESOLVED_VERSION} AS script WHERE NOT script.has_process)
)
SELECT id, script_id, version
FROM executable, accept_executions_v3(
    tenant => executable.tenant,
    ids => $2,
    script_ids => executable.script_ids,
    script_names => executable.script_names,
    script_versions => executable.script_versions,
    aliases => executable.aliases,
    walls_ms => $7,
    max_cpus_ms => $8,
    memories_bytes => $9,
    max_outputs_bytes => $10,
    default_wall_ms => $11,
    default_memory_bytes => $12,
    min_memory_bytes => $13,
    ceiling_wall_ms => $14,
    ceiling_cpu_ms => $15,
    ceiling_memory_bytes => $16,
    ceiling_output_bytes => $17,
    labels => $18,
    seeds => $19,
    priorities => $20,
    traceparents => $21,
    request_ids => $22,
    input_sha256s => $23,
    input_sizes => $24,
    input_bodies => $25,
    input_params => $26,
    input_types => $27,
    keys => $28,
    fingerprints => $29,
    idempotency_hours => $30,
    max_queued => $31,
    max_stored_bytes => $32,
    max_bytes_per_day => $33,
    seen_within_seconds => $34
)
"""  # noqa: S608 - put together from constants


class Acceptance(Struct, frozen=True, kw_only=True):
    """An execution to be accepted, whose input is in memory."""

    execution_id: UUID
    ref: ScriptRef
    submission: Submission
    seed: int
    payload: StoredPayload
    traceparent: str | None = None
    request_id: str | None = None
    key: IdempotencyKey | None = None


async def insert_executions(
    conn: Connection,
    tenant: UUID,
    wanted: Sequence[Acceptance],
    *,
    policy: LimitPolicy,
    caps: Caps,
    key_hours: int = 24,
) -> list[ResolvedVersion | None]:
    """Store executions as queued and return their versions, in the order of `wanted`.

    None stands for an execution that is not stored: `insert_execution` says why, or stores it
    where a quota has room for some of the executions only, or where one of them has no `process`.
    An idempotency key that has been used, is locked or comes again in `wanted` is such a reason.
    """
    references = [reference_columns(each.ref) for each in wanted]
    submissions = [each.submission for each in wanted]
    limits = [each.limits for each in submissions]
    values = in_order(
        INSERT_EXECUTIONS,
        tenant=tenant,
        ids=[each.execution_id for each in wanted],
        script_ids=[each["script_id"] for each in references],
        script_names=[each["script_name"] for each in references],
        script_versions=[each["version"] for each in references],
        aliases=[each["alias"] for each in references],
        walls_ms=[each.wall_ms for each in limits],
        max_cpus_ms=[each.max_cpu_ms for each in limits],
        memories_bytes=[each.memory_bytes for each in limits],
        max_outputs_bytes=[each.max_output_bytes for each in limits],
        default_wall_ms=policy.default_wall_ms,
        default_memory_bytes=policy.default_memory_bytes,
        min_memory_bytes=MIN_MEMORY_BYTES,
        ceiling_wall_ms=policy.ceilings.wall_ms,
        ceiling_cpu_ms=policy.ceilings.max_cpu_ms,
        ceiling_memory_bytes=policy.ceilings.memory_bytes,
        ceiling_output_bytes=policy.ceilings.max_output_bytes,
        labels=[each.labels for each in submissions],
        seeds=[each.seed for each in wanted],
        priorities=[each.priority for each in submissions],
        traceparents=[each.traceparent for each in wanted],
        request_ids=[each.request_id for each in wanted],
        input_sha256s=[each.payload.sha256 for each in wanted],
        input_sizes=[each.payload.size_bytes for each in wanted],
        input_bodies=[each.payload.body for each in wanted],
        input_params=[each.params for each in submissions],
        input_types=[media_type_of(each) for each in submissions],
        keys=[None if each.key is None else each.key.text for each in wanted],
        fingerprints=[None if each.key is None else each.key.fingerprint for each in wanted],
        idempotency_hours=key_hours,
        max_queued=caps.max_queued,
        max_stored_bytes=caps.max_stored_bytes,
        max_bytes_per_day=caps.max_bytes_per_day,
        seen_within_seconds=WORKER_TIMEOUT_SECONDS,
    )
    stored = {row["id"]: row for row in await conn.fetch(INSERT_EXECUTIONS, *values)}
    return [
        ResolvedVersion(script_id=row["script_id"], version=row["version"], archived_at=None)
        if (row := stored.get(each.execution_id))
        else None
        for each in wanted
    ]
