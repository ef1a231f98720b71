"""Find and erase the input, result and logs of an execution."""

from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Pool
from app.executions import payload_store
from app.executions.model import PayloadKind, Status
from app.executions.payload_store import ExecutionPayload
from app.executions.problems import NoResult, not_finished, not_found, payload_gone
from app.executions.retention import PAYLOAD_OWNER
from app.payloads.model import StoredPayload
from app.payloads.retention import delete_unreferenced
from app.payloads.writer import stored_inline
from app.resources import Resources

_NO_LOGS = stored_inline(b'{"lines":[],"lines_dropped":0}')


async def find_input(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the input. Raises ExecutionNotFound, PayloadGone."""
    found = await _find(resources.pool, tenant, execution_id, PayloadKind.INPUT)
    if found.payload is None:
        raise not_found(execution_id)
    return found.payload


async def find_result(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the result. Raises ExecutionNotFound, NotFinished, NoResult, PayloadGone."""
    found = await _find(resources.pool, tenant, execution_id, PayloadKind.RESULT)
    _require_finished(found, execution_id)
    if found.payload is None:
        if found.status is Status.CANCELLED:
            raise NoResult("the execution was cancelled and has no result")
        raise NoResult(
            f"the execution {found.status}; GET /executions/{execution_id} has its error"
        )
    return found.payload


async def find_logs(resources: Resources, tenant: UUID, execution_id: UUID) -> StoredPayload:
    """Find the captured console. Raises ExecutionNotFound, NotFinished, PayloadGone."""
    found = await _find(resources.pool, tenant, execution_id, PayloadKind.LOGS)
    _require_finished(found, execution_id)
    return found.payload or _NO_LOGS


async def erase(resources: Resources, caller: Caller, execution_id: UUID) -> None:
    """Erase input, result and logs and keep the receipt; erasing again changes nothing.

    Raises ExecutionNotFound, NotFinished.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        found = await payload_store.select_payload(
            conn, caller.tenant, execution_id, PayloadKind.INPUT
        )
        if found is None:
            raise not_found(execution_id)
        _require_finished(found, execution_id)
        erased = await payload_store.erase_payloads(conn, caller.tenant, execution_id)
        if erased:
            target = f"/executions/{execution_id}"
            details = {"erased": sorted(payload.kind for payload in erased)}
            await log_action(conn, caller, Action.EXECUTION_ERASED, target, details=details)
    # After the commit: a crash here leaves orphans, which retention deletes.
    keys = [payload.blob_key for payload in erased if payload.blob_key]
    await delete_unreferenced(resources.pool, resources.blobs, PAYLOAD_OWNER, keys)


async def _find(
    pool: Pool, tenant: UUID, execution_id: UUID, kind: PayloadKind
) -> ExecutionPayload:
    async with pool.acquire() as conn:
        found = await payload_store.select_payload(conn, tenant, execution_id, kind)
    if found is None:
        raise not_found(execution_id)
    if found.erased_at is not None:
        raise payload_gone(found.erased_at)
    return found


def _require_finished(found: ExecutionPayload, execution_id: UUID) -> None:
    if not found.status.final:
        raise not_finished(execution_id, found.status)
