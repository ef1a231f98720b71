"""Claim callbacks that are due, record their attempts, and release them.

The statements serve all tenants: they name rows by id and fencing token, which only the claim of
this process has.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.callbacks.model import MAX_ATTEMPTS_KEPT, CallbackStatus
from app.callbacks.subjects import SUBJECTS
from app.db import Connection, from_row
from app.sql_parameters import in_order

# An attempt and the record of its answer end sooner. A process that dies meanwhile leaves the
# callback to any other, this long after the claim. Each further claim without a record has a lease
# twice as long, up to the longest: the attempt itself may be what kills the process.
LEASE_SECONDS: Final = 25
LONGEST_LEASE_SECONDS: Final = 6 * 3_600


class ClaimedCallback(Struct, frozen=True, kw_only=True):
    """A callback to send now.

    `tries` is the place of this attempt in the schedule, from 1. `unrecorded` counts the claims
    since the last record, this one included.
    """

    id: UUID
    tenant_id: UUID
    subject: str
    subject_id: UUID
    url: str
    host: str
    tries: int
    unrecorded: int
    lease_token: int


# The function is in migrations/sql/claim_callbacks_v1.sql.
CLAIM = """
SELECT id, tenant_id, subject, subject_id, url, host, tries, unrecorded, lease_token
FROM claim_callbacks_v1(
    subjects => $1, room => $2, reserved => $3, most_of_tenant => $4, most_of_host => $5,
    lease_seconds => $6, longest_lease_seconds => $7, busy_tenants => $8,
    attempts_of_tenants => $9, busy_hosts => $10, attempts_of_hosts => $11
)
"""


async def claim(
    conn: Connection,
    *,
    room: int,
    reserved: int,
    most_of_tenant: int,
    most_of_host: int,
    tenants: Mapping[UUID, int],
    hosts: Mapping[str, int],
) -> list[ClaimedCallback]:
    """Claim up to `room` callbacks that are due, the last `reserved` for tenants without attempts.

    `tenants` and `hosts` are the attempts that this process has under way; with them, no tenant
    and no host gets more than its most.
    """
    values = in_order(
        CLAIM,
        subjects=list(SUBJECTS),
        room=room,
        reserved=reserved,
        most_of_tenant=most_of_tenant,
        most_of_host=most_of_host,
        lease_seconds=LEASE_SECONDS,
        longest_lease_seconds=LONGEST_LEASE_SECONDS,
        busy_tenants=list(tenants),
        attempts_of_tenants=list(tenants.values()),
        busy_hosts=list(hosts),
        attempts_of_hosts=list(hosts.values()),
    )
    return [from_row(ClaimedCallback, row) for row in await conn.fetch(CLAIM, *values)]


RECORD = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS id,
           $2::bigint AS lease_token,
           $3::text AS status,
           $4::float8 AS delay_seconds,
           $5::timestamptz AS started_at,
           $6::smallint AS status_code
),
recorded AS (
    UPDATE callbacks AS c
    SET status = parameters.status,
        next_attempt_at = clock_timestamp() + make_interval(secs => parameters.delay_seconds),
        tries = c.tries + 1,
        unrecorded = 0,
        lease_token = NULL
    FROM parameters
    WHERE c.id = parameters.id AND c.lease_token = parameters.lease_token
    RETURNING c.id, c.tenant_id, c.attempts
),
forgotten AS (
    DELETE FROM callback_attempts AS a
    USING recorded
    WHERE a.callback_id = recorded.id AND a.number <= recorded.attempts - {MAX_ATTEMPTS_KEPT}
)
INSERT INTO callback_attempts (callback_id, number, tenant_id, started_at, status_code)
SELECT recorded.id, recorded.attempts, recorded.tenant_id, parameters.started_at,
       parameters.status_code
FROM recorded, parameters
RETURNING number
"""  # noqa: S608 - put together from constants


async def record(
    conn: Connection,
    claimed: ClaimedCallback,
    status: CallbackStatus,
    *,
    delay_seconds: float | None,
    started_at: datetime,
    status_code: int | None,
) -> bool:
    """Record an attempt, and when the next one is due if the callback stays pending.

    False if the claim is no longer valid; then nothing is recorded.
    """
    values = in_order(
        RECORD,
        id=claimed.id,
        lease_token=claimed.lease_token,
        status=status,
        delay_seconds=delay_seconds,
        started_at=started_at,
        status_code=status_code,
    )
    return await conn.fetchval(RECORD, *values) is not None


RELEASE = """
UPDATE callbacks AS c
SET next_attempt_at = clock_timestamp(),
    attempts = c.attempts - 1,
    unrecorded = c.unrecorded - 1,
    lease_token = NULL
FROM unnest($1::uuid[], $2::bigint[]) AS claim (id, lease_token)
WHERE c.id = claim.id AND c.lease_token = claim.lease_token
"""


async def release(conn: Connection, claimed: list[ClaimedCallback]) -> None:
    """Leave callbacks to other processes at once, without counting their attempts."""
    await conn.execute(
        RELEASE, [each.id for each in claimed], [each.lease_token for each in claimed]
    )
