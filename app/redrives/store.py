"""Store re-drives, show them, list them and cancel them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import asdict

from app.db import Connection, from_row
from app.executions.model import ScriptVersionRef
from app.progress.filters import matching
from app.redrives.model import (
    NewRedrive,
    Redrive,
    RedriveFilter,
    RedriveKind,
    RedriveListFilter,
    RedriveState,
    RedriveStatus,
    Retried,
    RetryFailure,
)
from app.runs.model import SnapshotRef
from app.sql_parameters import in_order

# What matches is marked under this lock: the statement after it sees what others have marked.
LOCK_REDRIVES = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 8))
"""

# What an open re-drive has marked is its own. A cancelled one holds it until its last batch is
# recorded, or until its lease has expired.
IS_OPEN = "(o.status IN ('queued', 'running') OR o.lease_expires_at > clock_timestamp())"


async def lock_redrives(conn: Connection, tenant: UUID) -> None:
    """Let the tenant's new re-drives take turns until the transaction ends."""
    await conn.execute(LOCK_REDRIVES, tenant)


INSERT_REDRIVE = """
INSERT INTO redrives
       (id, tenant_id, kind, filter, pipe_id, run_id, batch_id, script_id, script_version,
        per_second, matched)
SELECT $1 AS id, $2 AS tenant_id, $3 AS kind, $4 AS filter, $5 AS pipe_id, $6 AS run_id,
       $7 AS batch_id, $8 AS script_id, $9 AS script_version, $10 AS per_second, $11 AS matched
"""


async def insert_redrive(conn: Connection, tenant: UUID, new: NewRedrive) -> None:
    """Store a re-drive whose matches are marked in the same transaction."""

    def subject(kind: RedriveKind) -> UUID | None:
        return new.subject_id if new.kind is kind else None

    values = in_order(
        INSERT_REDRIVE,
        id=new.id,
        tenant_id=tenant,
        kind=new.kind,
        filter=msgspec.json.encode(new.filter),
        pipe_id=subject(RedriveKind.PIPE),
        run_id=subject(RedriveKind.RUN),
        batch_id=subject(RedriveKind.EXECUTION),
        script_id=new.script_id,
        script_version=new.script_version,
        per_second=new.per_second,
        matched=new.matched,
    )
    await conn.execute(INSERT_REDRIVE, *values)


_REDRIVES = """
SELECT r.id, r.kind, r.status, r.filter, r.batch_id, r.per_second, r.matched, r.moved,
       r.dropped, r.failed_again, r.left_out, r.failures, r.output_dataset, r.output_snapshot,
       r.trouble, r.created_at, r.started_at, r.finished_at,
       s.id AS script_id, s.name AS script_name, v.version AS script_version,
       encode(v.sha256, 'hex') AS script_sha256
FROM redrives AS r
LEFT JOIN scripts AS s ON s.tenant_id = r.tenant_id AND s.id = r.script_id
LEFT JOIN script_versions AS v
       ON v.tenant_id = r.tenant_id AND v.script_id = r.script_id
      AND v.version = r.script_version
"""

SELECT_REDRIVE = _REDRIVES + "WHERE r.tenant_id = $1 AND r.id = $2"


async def select_redrive(conn: Connection, tenant: UUID, redrive_id: UUID) -> Redrive | None:
    """Find a re-drive."""
    row = await conn.fetchrow(SELECT_REDRIVE, tenant, redrive_id)
    return None if row is None else (await _redrives(conn, tenant, [row]))[0]


SELECT_REDRIVE_PAGE = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS below,
           $3::text AS status,
           $4::uuid AS pipe_id,
           $5::uuid AS run_id,
           $6::timestamptz AS created_from,
           $7::timestamptz AS created_before
)
{_REDRIVES}
CROSS JOIN parameters
WHERE r.tenant_id = parameters.tenant_id AND r.id < parameters.below
{matching("r", "status", "pipe_id", "run_id")}
ORDER BY r.id DESC
LIMIT $8
"""


async def select_redrive_page(
    conn: Connection, tenant: UUID, wanted: RedriveListFilter, *, below: UUID, limit: int
) -> list[Redrive]:
    """List re-drives, newest first."""
    values = in_order(
        SELECT_REDRIVE_PAGE, tenant_id=tenant, below=below, limit=limit, **asdict(wanted)
    )
    return await _redrives(conn, tenant, await conn.fetch(SELECT_REDRIVE_PAGE, *values))


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, finished_at IS NOT NULL AS final
FROM redrives
WHERE id = ANY ($1)
"""


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[RedriveState]:
    """Read the states of several re-drives."""
    return [from_row(RedriveState, row) for row in await conn.fetch(SELECT_STATES, ids)]


# A worker that has a batch of it in hand records that, and gives the lease back.
CANCEL_REDRIVE = """
UPDATE redrives
SET status = 'cancelled', finished_at = clock_timestamp(), trouble = NULL
WHERE tenant_id = $1 AND id = $2 AND status IN ('queued', 'running')
RETURNING matched - moved - dropped - failed_again - left_out AS remaining
"""


async def cancel_redrive(conn: Connection, tenant: UUID, redrive_id: UUID) -> int | None:
    """Cancel a re-drive; return how many it has not tried, None if it had ended."""
    remaining: int | None = await conn.fetchval(CANCEL_REDRIVE, tenant, redrive_id)
    return remaining


# Of dead letters the ids alone are kept: an error is erased with its letter.
SELECT_LETTER_ERRORS = """
SELECT id, coalesce(last_error, error) AS error
FROM dead_letters
WHERE tenant_id = $1 AND id = ANY ($2)
"""


async def _redrives(
    conn: Connection, tenant: UUID, rows: Sequence[asyncpg.Record]
) -> list[Redrive]:
    """Make re-drives of rows, with the errors of the letters that have failed again."""
    letters = {
        row["id"]: [each.id for each in msgspec.json.decode(row["failures"], type=list[Retried])]
        for row in rows
        if row["kind"] == RedriveKind.PIPE
    }
    ids = [UUID(each) for failed in letters.values() for each in failed]
    found = await conn.fetch(SELECT_LETTER_ERRORS, tenant, ids) if ids else []
    errors = {str(row["id"]): Raw(row["error"]) for row in found}
    redrives = []
    for row in rows:
        failures = Raw(row["failures"])
        if row["id"] in letters:
            kept = [
                RetryFailure(id=each, error=errors[each])
                for each in letters[row["id"]]
                if each in errors
            ]
            failures = Raw(msgspec.json.encode(kept))
        redrives.append(_redrive(row, failures))
    return redrives


def _redrive(row: asyncpg.Record, failures: Raw) -> Redrive:
    tried = row["moved"] + row["dropped"] + row["failed_again"] + row["left_out"]
    published: Any = UNSET
    if row["output_snapshot"] is not None:
        published = SnapshotRef(dataset=row["output_dataset"], snapshot=row["output_snapshot"])
    is_batch = row["kind"] == RedriveKind.EXECUTION
    return Redrive(
        id=row["id"],
        status=RedriveStatus(row["status"]),
        filter=msgspec.json.decode(row["filter"], type=RedriveFilter),
        script=_script(row),
        per_second=row["per_second"],
        matched=row["matched"],
        moved=row["moved"],
        dropped=row["dropped"],
        failed_again=row["failed_again"],
        left_out=row["left_out"],
        remaining=row["matched"] - tried,
        failures=failures,
        trouble=row["trouble"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        url=f"/redrives/{row['id']}",
        published=published,
        batch_url=f"/batches/{row['batch_id']}" if is_batch else UNSET,
    )


def _script(row: asyncpg.Record) -> ScriptVersionRef | None:
    if row["script_version"] is None:
        return None
    return ScriptVersionRef(
        id=row["script_id"],
        name=row["script_name"],
        version=row["script_version"],
        sha256=row["script_sha256"],
    )
