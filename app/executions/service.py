"""Show, list and cancel executions."""

from contextlib import suppress
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.executions import cancellations, store
from app.executions.dispatch.completion_report import report_completion, select_completed
from app.executions.model import (
    Execution,
    ExecutionFilter,
    Status,
)
from app.executions.problems import AlreadyFinished, not_found
from app.executions.waiting.queue_position import select_queue_position
from app.executions.waiting.readers import read_execution
from app.limits import WORKER_TIMEOUT_SECONDS
from app.outages import DatabaseUnavailable
from app.pagination import Page, Paginator
from app.resources import Resources
from app.scripts import service as scripts


async def show(
    resources: Resources, tenant: UUID, execution_id: UUID, *, with_result: bool = True
) -> Execution:
    """Return an execution, with its result if that is small. Raises ExecutionNotFound."""
    execution = await read_execution(resources, tenant, execution_id, with_result=with_result)
    if execution is None:
        raise not_found(execution_id)
    if execution.status is Status.QUEUED:
        async with resources.pool.acquire() as conn:
            waiting = await select_queue_position(
                conn,
                tenant,
                execution_id,
                seen_within_seconds=WORKER_TIMEOUT_SECONDS,
                default_max_running=resources.settings.default_max_running or None,
            )
            execution = replace(execution, waiting=waiting or UNSET)
    return execution


async def cancel(resources: Resources, caller: Caller, execution_id: UUID) -> Execution:
    """Cancel an execution; its worker's later reports are refused. Repeating it changes nothing.

    Raises ExecutionNotFound, AlreadyFinished.
    """
    async with resources.pool.acquire() as conn:
        async with conn.transaction():
            before = await cancellations.cancel(conn, caller.tenant, execution_id)
            if before is not None:
                target = f"/executions/{execution_id}"
                details = {"status": before}
                await log_action(conn, caller, Action.EXECUTION_CANCELLED, target, details=details)
        if before is not None:
            resources.publisher.ended(execution_id)
        if before is Status.RUNNING:
            # Committed already: a worker that is not notified notices when it renews its leases.
            with suppress(DatabaseUnavailable):
                await cancellations.notify_workers(conn, execution_id)
        if before is not None:
            with suppress(DatabaseUnavailable):
                for completed in await select_completed(conn, [execution_id]):
                    report_completion(resources.tracing, completed)
    execution = await show(resources, caller.tenant, execution_id)
    if execution.status is not Status.CANCELLED:
        raise AlreadyFinished(
            f"the execution has {execution.status}; "
            f"GET /executions/{execution_id} shows its outcome"
        )
    return execution


async def list_executions(
    resources: Resources,
    tenant: UUID,
    wanted: ExecutionFilter,
    *,
    script: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Execution]:
    """Return a page of executions, newest first; `script` is a reference to a script or version.

    Raises ScriptNotFound, VersionNotFound, InvalidRequest.
    """
    paginator = Paginator("executions", wanted, script)
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        if script is not None:
            script_id, version = await scripts.resolve_filter(conn, tenant, script)
            wanted = replace(wanted, script_id=script_id, version=version)
        executions = await store.select_execution_page(
            conn, tenant, wanted, below=below, limit=limit + 1
        )
    return paginator.page(executions, [execution.id for execution in executions], limit=limit)
