"""Find and erase what is kept of an execution beside its receipt: input, result, logs."""

from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Pool
from app.executions import erasure
from app.executions.erasure import Kept
from app.executions.model import (
    PayloadKind,
    Status,
    StoredPayload,
)
from app.executions.payloads import stored_inline
from app.executions.problems import (
    ExecutionNotFound,
    NoResult,
    NotFinished,
    PayloadGone,
)
from app.executions.retention import delete_unnamed
from app.executions.service import RETRY_AFTER
from app.resources import Resources

_NO_LOGS = stored_inline(b'{"lines":[],"lines_dropped":0}')


async def input_of(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the input as it came. Raises ExecutionNotFound, PayloadGone."""
    kept = await _kept(resources.pool, tenant, execution_id, PayloadKind.INPUT)
    if kept.payload is None:
        raise _not_found(execution_id)
    return kept.payload


async def result_of(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the result. Raises ExecutionNotFound, NotFinished, NoResult, PayloadGone."""
    kept = await _kept(resources.pool, tenant, execution_id, PayloadKind.RESULT)
    _require_finished(kept, execution_id)
    if kept.payload is None:
        if kept.status is Status.CANCELLED:
            raise NoResult("the execution was cancelled, so that it has no result")
        raise NoResult(f"the execution {kept.status}; GET /executions/{execution_id} has its error")
    return kept.payload


async def logs_of(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the captured console. Raises ExecutionNotFound, NotFinished, PayloadGone."""
    kept = await _kept(resources.pool, tenant, execution_id, PayloadKind.LOGS)
    _require_finished(kept, execution_id)
    return kept.payload or _NO_LOGS


async def erase(resources: Resources, who: Caller, execution_id: UUID) -> None:
    """Erase input, result and logs; what is erased already stays so. The receipt is kept.

    Raises ExecutionNotFound, NotFinished.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        kept = await erasure.select_kept(conn, who.tenant, execution_id, PayloadKind.INPUT)
        if kept is None:
            raise _not_found(execution_id)
        _require_finished(kept, execution_id)
        erased = await erasure.erase_payloads(conn, who.tenant, execution_id)
        if erased:
            target = f"/executions/{execution_id}"
            details = {"erased": sorted(each.kind for each in erased)}
            await log_action(conn, who, Action.EXECUTION_ERASED, target, details=details)
    # After the commit: should this be lost, the blobs have no row and are swept.
    keys = [each.blob_key for each in erased if each.blob_key]
    await delete_unnamed(resources.pool, resources.blobs, keys)


async def _kept(pool: Pool, tenant: UUID, execution_id: UUID, kind: PayloadKind) -> Kept:
    async with pool.acquire() as conn:
        kept = await erasure.select_kept(conn, tenant, execution_id, kind)
    if kept is None:
        raise _not_found(execution_id)
    if kept.erased_at is not None:
        at = kept.erased_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise PayloadGone(
            f"input, result and logs of the execution were erased at {at}; its receipt is kept",
            members={"erased_at": kept.erased_at},
        )
    return kept


def _require_finished(kept: Kept, execution_id: UUID) -> None:
    if not kept.status.final:
        message = (
            f"the execution is {kept.status}; GET /executions/{execution_id}?wait=30 waits for it"
        )
        raise NotFinished(message, headers=RETRY_AFTER)


def _not_found(execution_id: UUID) -> ExecutionNotFound:
    return ExecutionNotFound(f"no execution {execution_id}; GET /executions lists them")
