"""Let a script take the records of an export first, by a run whose output is then exported.

The output is a dataset of the export's own, which is deleted once the export has ended.
"""

import json
from typing import Final

import structlog
from msgspec.structs import replace

from app.auth.callers import Caller
from app.background import retry_forever
from app.datasets import deletion_store
from app.datasets.blob_cleanup import delete_blobs
from app.db import Connection
from app.errors import Problem, clipped, invalid, located
from app.exports import ending
from app.exports.acceptance_store import NewExport, has_engine, insert_tasks, select_parts
from app.exports.first_tasks import first_tasks
from app.exports.model import ExportErrorKind, ExportStage, ExportStatus
from app.exports.plan.model import OnBadRow
from app.exports.requests import CreateExport
from app.exports.script_store import (
    DueExport,
    ScriptedExport,
    begin_reading,
    lock_scripted,
    select_due,
    select_outputs,
)
from app.outages import DatabaseUnavailable
from app.resources import Resources
from app.runs import ending as run_ending, submissions as runs
from app.runs.model import CreateRun, RunOutput, RunStatus
from app.runs.store import select_offer
from app.sandbox.outcomes import Io, ScriptKind
from app.sandbox.parts import OnError
from app.scripts import service as scripts
from app.scripts.refs import parse_ref

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
# Of a dataset's name, which has 63 characters at most.
_NAME_CHARACTERS: Final = 40
_ID_CHARACTERS: Final = 12
# Of a run's error in that of its export.
_MESSAGE_CHARACTERS: Final = 500


def require_possible(caller: Caller, wanted: CreateExport) -> None:
    """Require what a run with an output takes. Raises InvalidRequest, MissingScope."""
    if wanted.since is not None:
        raise invalid(
            "/since",
            "is not possible with a script, whose output is all new; omit it, or let a pipe take "
            "the records through the script into a dataset of its own (PUT /pipes/NAME with "
            '{"from": {"dataset": {"dataset": …}}, "script": …, "to": {"dataset": …}}), and export '
            "that with `since`",
        )
    runs.require_write_datasets(caller)


async def prepare(
    resources: Resources, conn: Connection, caller: Caller, wanted: CreateExport, new: NewExport
) -> NewExport:
    """Store the run of the script in the running transaction, and return the export with it.

    Raises InvalidRequest, ScriptNotFound, VersionNotFound, ScriptArchived, QuotaExceeded.
    """
    assert wanted.script is not None  # noqa: S101 - the caller's condition
    try:
        version = await scripts.resolve(conn, caller.tenant, parse_ref(wanted.script))
    except Problem as problem:
        raise located("/script", problem) from None
    offer = await select_offer(conn, caller.tenant, version.script_id, version.version)
    maps = ScriptKind.MAP in offer.kinds
    if not maps and not (ScriptKind.PROCESS in offer.kinds and offer.io is Io.JSON):
        message = f"{wanted.script!r} has neither `map` nor a `process` that takes JSON"
        raise invalid("/script", message)
    skips = wanted.on_bad_row is OnBadRow.DEAD_LETTER
    short = str(new.id)[-_ID_CHARACTERS:]
    name = f"{new.dataset[:_NAME_CHARACTERS]}-export-{short}"
    run = CreateRun(
        script=f"{version.script_id}@{version.version}",
        dataset=f"{new.dataset}@{new.snapshot}",
        each=None if maps else "record",
        on_error=OnError.DEAD_LETTER if skips else OnError.FAIL,
        max_errors=wanted.max_bad_rows,
        output=RunOutput(dataset=name, key=None),
        labels=wanted.labels,
    )
    run_id = await runs.resolve_and_insert(
        resources, conn, caller, run, traceparent=new.traceparent
    )
    return replace(
        new,
        script_id=version.script_id,
        script_version=version.version,
        run_id=run_id,
        stage=ExportStage.SCRIPT,
    )


async def run_scripts(resources: Resources) -> None:
    """Go on with exports whose runs have ended, until cancelled."""

    async def poll() -> None:
        await go_on(resources)
        await delete_outputs(resources)

    with resources.notifier.waking(run_ending.CHANNEL) as woken:
        await retry_forever(
            "exports.scripts_failed", poll, pause_seconds=_POLL_SECONDS, woken=woken
        )


async def go_on(resources: Resources) -> None:
    """Export what runs have published, and fail the exports of other runs that have ended.

    One whose step fails is logged, and tried again with the next ones.
    """
    async with resources.pool.acquire() as conn:
        due = await select_due(conn)
    for each in due:
        try:
            await _go_on_with(resources, each)
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("export.step_failed", id=str(each.export_id))


async def _go_on_with(resources: Resources, due: DueExport) -> None:
    ended = None
    async with resources.pool.acquire() as conn, conn.transaction():
        export = await lock_scripted(conn, due.tenant_id, due.export_id)
        if export is not None:
            ended = await _go_on(conn, export)
    if ended is not None:
        await ending.after_commit(resources, ended)


async def _go_on(conn: Connection, export: ScriptedExport) -> ending.Ended | None:
    if export.run_status is not RunStatus.SUCCEEDED:
        return await _fail(conn, export, **_failure(export))
    if export.output_dataset_id is None or export.output_snapshot is None:
        message = "what the script has made of the records is deleted"
        return await _fail(conn, export, kind=ExportErrorKind.INPUT_DELETED, message=message)
    parts = await select_parts(
        conn, export.tenant_id, export.output_dataset_id, export.output_snapshot, since=None
    )
    stage, tasks = first_tasks(parts, for_engine=await has_engine(conn))
    raw_bytes = sum(each.raw_bytes for each in parts)
    await begin_reading(conn, export, stage=stage, tasks=len(tasks), raw_bytes=raw_bytes)
    await insert_tasks(conn, export.tenant_id, export.export_id, stage, tasks)
    log.info("export.script_done", id=str(export.export_id), run=str(export.run_id))
    return None


def _failure(export: ScriptedExport) -> dict[str, object]:
    """Return the members of an export's error whose run has no output, by that of the run."""
    how = "was cancelled" if export.run_status is RunStatus.CANCELLED else "has failed"
    members: dict[str, object] = {"kind": ExportErrorKind.SCRIPT_FAILED}
    if export.run_error is not None:
        error = json.loads(export.run_error)
        how += f": {clipped(error['message'], _MESSAGE_CHARACTERS)}"
        places = {"path": error.get("path"), "line": error.get("input_line")}
        members |= {name: place for name, place in places.items() if place is not None}
    message = f"the run of the script {how}; GET /runs/{export.run_id} says why"
    return members | {"message": message}


async def _fail(conn: Connection, export: ScriptedExport, **members: object) -> ending.Ended:
    error = json.dumps(members).encode("ascii")
    return await ending.end(
        conn, export.tenant_id, export.export_id, ExportStatus.FAILED, error=error
    )


async def delete_outputs(resources: Resources) -> None:
    """Delete what scripts have made for exports that have ended."""
    async with resources.pool.acquire() as conn:
        outputs = await select_outputs(conn)
    for each in outputs:
        blob_keys: list[str] = []
        async with resources.pool.acquire() as conn, conn.transaction():
            found = await deletion_store.lock_for_deletion(conn, each.tenant_id, each.name)
            if found == each.dataset_id:
                blob_keys = await deletion_store.delete_dataset(conn, each.tenant_id, found)
        await delete_blobs(resources.blobs, blob_keys)
