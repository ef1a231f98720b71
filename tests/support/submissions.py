"""Submissions driven directly, as requests accept them, with a way to make groups form."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid

from app.auth.callers import Caller
from app.auth.model import AuthMethod
from app.db import Pool
from app.executions import submissions
from app.executions.model import Submission
from app.idempotency.model import RequestKey
from app.quotas.model import Caps
from app.resources import Resources
from app.scripts.refs import parse_ref
from app.tenants.model import DEFAULT_TENANT

COUNT_LOCK_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
# Rows that one statement wrote share its transaction's number.
COUNT_STATEMENTS = "SELECT count(DISTINCT xmin::text) FROM executions"


async def accept(
    resources: Resources,
    ref: str = "plain",
    data: bytes = b"1",
    *,
    label: str | None = None,
    caps: Caps | None = None,
    tenant: UUID = DEFAULT_TENANT,
    key: str | None = None,
) -> UUID:
    """Accept a submission, as a request does."""
    caller = Caller(
        tenant=tenant,
        caps=caps or Caps(),
        auth_method=AuthMethod.OPEN,
        key_id=None,
        scopes=frozenset(),
        address=None,
        request_id="a-request",
    )
    submission = Submission(labels={"n": data.decode() if label is None else label})

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    async with submissions.receive(
        resources,
        caller,
        parse_ref(ref),
        submission,
        data=chunks(),
        key=None if key is None else RequestKey(key, "POST /executions"),
    ) as received:
        execution_id = uuid.uuid7()
        await submissions.accept(resources, caller, received, execution_id)
    return execution_id


async def wait_for_locks(pool: Pool, count: int = 1) -> None:
    """Return when `count` statements wait for a lock."""
    while await pool.fetchval(COUNT_LOCK_WAITS) < count:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)


@asynccontextmanager
async def locked_tenant(pool: Pool, tenant: UUID = DEFAULT_TENANT) -> AsyncIterator[None]:
    """Let every acceptance of a tenant wait for the end of the block."""
    async with pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM tenants WHERE id = $1 FOR UPDATE", tenant)
        try:
            yield
        finally:
            await transaction.rollback()


@asynccontextmanager
async def accepting(
    resources: Resources, arguments: Sequence[dict[str, Any]]
) -> AsyncIterator[list["asyncio.Task[UUID]"]]:
    """Submit while the first submission waits for a lock, which ends with the block."""
    async with locked_tenant(resources.pool):
        tasks = [asyncio.create_task(accept(resources, **each)) for each in arguments]
        await wait_for_locks(resources.pool)
        yield tasks


async def accept_together(
    resources: Resources, *arguments: dict[str, Any]
) -> list[UUID | BaseException]:
    """Accept submissions while the first of them waits for a lock."""
    async with accepting(resources, arguments) as tasks:
        pass
    return await asyncio.gather(*tasks, return_exceptions=True)
