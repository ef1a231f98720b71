"""Record the outcomes of several claims in one statement."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from app.db import Connection
from app.executions.dispatch.claims import completed, payload_columns
from app.executions.dispatch.completion_report import CompletedExecution
from app.executions.dispatch.stored_bytes import quota_errors
from app.executions.model import Claim, Finish
from app.payloads.model import StoredPayload
from app.sql_parameters import in_order

# The procedure is in migrations/sql/finish_executions_v1.sql; it commits and notifies as that
# for one does.
FINISH_SEVERAL = """
CALL finish_executions_v1(
    claimed => $1,
    tokens => $2,
    statuses => $3,
    error_kinds => $4,
    errors => $5,
    v8_versions => $6,
    runs_ms => $7,
    cpus_ms => $8,
    peaks_bytes => $9,
    result_sha256s => $10,
    result_sizes => $11,
    result_bodies => $12,
    result_keys => $13,
    logs_sha256s => $14,
    logs_sizes => $15,
    logs_bodies => $16,
    logs_keys => $17,
    its_warnings => $18,
    isolations => $19,
    begun_ms_ago => $20
)
"""


async def finish_several(
    conn: Connection, outcomes: Sequence[tuple[Claim, Finish]]
) -> list[CompletedExecution | None]:
    """Record outcomes, each fenced by its own token, and notify their readers at once.

    None stands for an outcome that was not recorded: `finish` says why, or records it. Raises
    StoredBytesExceeded if a tenant's quota has no room for its results; nothing is recorded then.
    """
    results = [finish for _, finish in outcomes]
    values = in_order(
        FINISH_SEVERAL,
        claimed=[claim.id for claim, _ in outcomes],
        tokens=[claim.lease_token for claim, _ in outcomes],
        statuses=[each.status for each in results],
        error_kinds=[each.error_kind for each in results],
        errors=[each.error for each in results],
        v8_versions=[each.v8_version for each in results],
        runs_ms=[each.run_ms for each in results],
        cpus_ms=[each.cpu_ms for each in results],
        peaks_bytes=[each.peak_memory_bytes for each in results],
        **_columns("result", [each.result for each in results]),
        **_columns("logs", [each.logs for each in results]),
        its_warnings=[each.warnings for each in results],
        isolations=[each.isolation for each in results],
        begun_ms_ago=[each.begun_ms_ago() for each in results],
    )
    try:
        with quota_errors():
            row = await conn.fetchrow(FINISH_SEVERAL, *values)
    except asyncpg.SerializationError:
        # A tenant came near its quota meanwhile, and nothing was recorded.
        return [None] * len(outcomes)
    arrays = {} if row is None or row["ids"] is None else dict(row)
    recorded = {
        token: dict(zip(_REPORTED, values, strict=True))
        for token, *values in zip(*(arrays.get(name, ()) for name in _ARRAYS), strict=True)
    }
    return [
        completed(recorded[claim.lease_token], claim, finish)
        if claim.lease_token in recorded
        else None
        for claim, finish in outcomes
    ]


_REPORTED: Final = (
    "tenant", "script", "version", "attempts", "created_at", "started_at", "finished_at",
    "worker_id", "traceparent",
)  # fmt: skip
# The arrays that the procedure returns: the token, then those of _REPORTED.
_ARRAYS: Final = ("valid_tokens", *(f"{name}s" for name in _REPORTED[:3]), "attempts",
                  *(f"{name}s" for name in _REPORTED[4:]))  # fmt: skip


def _columns(
    kind: str, payloads: Sequence[StoredPayload | None]
) -> dict[str, list[bytes | int | str | None]]:
    rows = [payload_columns(kind, each) for each in payloads]
    plural = {"sha256": "sha256s", "bytes": "sizes", "body": "bodies", "key": "keys"}
    return {f"{kind}_{plural[name]}": [row[f"{kind}_{name}"] for row in rows] for name in plural}
