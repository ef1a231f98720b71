"""Show, list and cancel runs, and find their results."""

from uuid import UUID

import structlog
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import service as datasets
from app.datasets.refs import parse_ref
from app.pagination import Page, Paginator
from app.payloads.model import StoredPayload
from app.resources import Resources
from app.runs import ending, store
from app.runs.advance_store import lock_run
from app.runs.model import Run, RunFilter, RunStatus
from app.runs.problems import (
    NoRunResult,
    RunDataGone,
    RunFinished,
    run_not_finished,
    run_not_found,
)
from app.runs.result_store import select_result
from app.scripts import service as scripts

log = structlog.get_logger(__name__)


async def show(resources: Resources, tenant: UUID, run_id: UUID, *, is_single: bool = True) -> Run:
    """Return a run in its current state; `is_single`: with its result and receipt.

    Raises RunNotFound.
    """
    async with resources.pool.acquire() as conn:
        run = await store.select_run(conn, tenant, run_id, is_single=is_single)
    if run is None:
        raise run_not_found(run_id)
    return run


async def list_runs(
    resources: Resources,
    tenant: UUID,
    wanted: RunFilter,
    *,
    script: str | None,
    dataset: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Run]:
    """Return a page of runs, newest first; `script` and `dataset` are references.

    A dataset or snapshot that is deleted matches its runs. Raises ScriptNotFound, VersionNotFound,
    InvalidRequest; DatasetNotFound and SnapshotNotFound if there is no run of it either.
    """
    paginator = Paginator("runs", wanted, script, dataset)
    below = paginator.below(cursor)
    ref = None if dataset is None else parse_ref(dataset)
    if ref is not None:
        wanted = replace(wanted, dataset=ref.name, snapshot=ref.snapshot)
    async with resources.pool.acquire() as conn:
        if script is not None:
            script_id, version = await scripts.resolve_filter(conn, tenant, script)
            wanted = replace(wanted, script_id=script_id, version=version)
        runs = await store.select_run_page(conn, tenant, wanted, below=below, limit=limit + 1)
        if ref is not None and cursor is None and not runs:
            await datasets.require(conn, tenant, ref)
    return paginator.page(runs, [run.id for run in runs], limit=limit)


async def find_result(resources: Resources, tenant: UUID, run_id: UUID) -> StoredPayload:
    """Find the result. Raises RunNotFound, RunNotFinished, NoRunResult, RunDataGone."""
    async with resources.pool.acquire() as conn:
        found = await select_result(conn, tenant, run_id)
    if found is None:
        raise run_not_found(run_id)
    if not found.status.final:
        raise run_not_finished(run_id, found.status)
    if found.status is not RunStatus.SUCCEEDED:
        how = "was cancelled" if found.status is RunStatus.CANCELLED else "has failed"
        raise NoRunResult(f"the run {how}; GET /runs/{run_id} says why")
    if not found.folds:
        raise NoRunResult(
            "the script has no fold (`start`, `step` and `finish`), whose result would be that of "
            f"the run; GET /runs/{run_id} names the snapshot that it has published"
        )
    if found.payload is None:
        raise RunDataGone("the result of the run has been erased")
    return found.payload


async def cancel(resources: Resources, caller: Caller, run_id: UUID) -> Run:
    """Cancel a run with all of its parts, in one transaction. Repeating it changes nothing.

    Raises RunNotFound, RunFinished.
    """
    # It finds the tenant's own only, and the lock below is taken by the id alone.
    before = await show(resources, caller.tenant, run_id, is_single=False)
    if not before.status.final:
        async with resources.pool.acquire() as conn, conn.transaction():
            ended = None
            if await lock_run(conn, run_id, wait=True) is not None:
                ended = await ending.end(conn, caller.tenant, run_id, RunStatus.CANCELLED)
                details = {"status": before.status, "parts_done": before.progress.parts_done}
                target = f"/runs/{run_id}"
                await log_action(conn, caller, Action.RUN_CANCELLED, target, details=details)
                await reauthorize_before_commit(caller)
        if ended is not None:
            await ending.after_commit(resources, ended)
            log.info("run.cancelled", id=str(run_id))
    run = await show(resources, caller.tenant, run_id)
    if run.status is not RunStatus.CANCELLED:
        raise RunFinished(f"the run has {run.status}; GET /runs/{run_id} shows its outcome")
    return run
