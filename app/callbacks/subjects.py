"""Define what can end with a callback, and how its message is read.

A further kind of resource takes part with an entry here and the triggers of its table;
docs/design/callbacks.md shows both.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.batches.problems import BatchNotFound
from app.batches.store import select_batch
from app.callbacks.model import EndedBatch, EndedExecution, EndedExport, EndedRun, Message
from app.db import Connection
from app.executions.problems import ExecutionNotFound
from app.executions.store import select_execution, select_status
from app.exports.problems import export_not_found
from app.exports.store import select_export, select_output as select_export_output
from app.runs.problems import run_not_found
from app.runs.store import select_run, select_status as select_run_status


class Subject(Struct, frozen=True, kw_only=True):
    """A kind of resource whose end is reported by a callback.

    `name` is the value of the column `subject`, `path` the route of its resources. `require` raises
    the problem of a missing resource; `read_message` returns what to report about one that has
    ended, None if it was deleted. Both take the tenant and the resource's id.
    """

    name: str
    path: str
    require: Callable[[Connection, UUID, UUID], Awaitable[None]]
    read_message: Callable[[Connection, UUID, UUID], Awaitable[Message | None]]


async def _require_execution(conn: Connection, tenant: UUID, execution_id: UUID) -> None:
    if await select_status(conn, tenant, execution_id) is None:
        raise ExecutionNotFound(f"no execution {execution_id}; GET /executions lists them")


async def _message_of_execution(
    conn: Connection, tenant: UUID, execution_id: UUID
) -> Message | None:
    execution = await select_execution(conn, tenant, execution_id, with_result=False)
    if execution is None:
        return None
    assert execution.finished_at is not None  # noqa: S101 - it has ended
    assert not isinstance(execution.receipt, msgspec.UnsetType)  # noqa: S101 - the same
    return Message(
        type=f"execution.{execution.status}",
        timestamp=execution.finished_at,
        data=EndedExecution(
            id=execution.id,
            status=execution.status,
            url=f"/executions/{execution.id}",
            receipt=execution.receipt,
        ),
    )


EXECUTION: Final = Subject(
    name="execution",
    path="/executions",
    require=_require_execution,
    read_message=_message_of_execution,
)


async def _require_batch(conn: Connection, tenant: UUID, batch_id: UUID) -> None:
    if await select_batch(conn, tenant, batch_id) is None:
        raise BatchNotFound(f"no batch {batch_id}; GET /batches lists them")


async def _message_of_batch(conn: Connection, tenant: UUID, batch_id: UUID) -> Message | None:
    batch = await select_batch(conn, tenant, batch_id)
    if batch is None:
        return None
    assert batch.finished_at is not None  # noqa: S101 - it has ended
    return Message(
        type=f"batch.{batch.status}",
        timestamp=batch.finished_at,
        data=EndedBatch(
            id=batch.id,
            status=batch.status,
            url=f"/batches/{batch.id}",
            results_url=batch.results_url,
            items=batch.items,
            counts=batch.counts,
        ),
    )


BATCH: Final = Subject(
    name="batch", path="/batches", require=_require_batch, read_message=_message_of_batch
)


async def _require_run(conn: Connection, tenant: UUID, run_id: UUID) -> None:
    if await select_run_status(conn, tenant, run_id) is None:
        raise run_not_found(run_id)


async def _message_of_run(conn: Connection, tenant: UUID, run_id: UUID) -> Message | None:
    run = await select_run(conn, tenant, run_id)
    if run is None:
        return None
    assert run.finished_at is not None  # noqa: S101 - it has ended
    assert not isinstance(run.receipt, msgspec.UnsetType)  # noqa: S101 - the same
    return Message(
        type=f"run.{run.status}",
        timestamp=run.finished_at,
        data=EndedRun(
            id=run.id,
            status=run.status,
            url=f"/runs/{run.id}",
            published=run.published or None,
            progress=run.progress,
            receipt=run.receipt,
        ),
    )


RUN: Final = Subject(name="run", path="/runs", require=_require_run, read_message=_message_of_run)


async def _require_export(conn: Connection, tenant: UUID, export_id: UUID) -> None:
    if await select_export_output(conn, tenant, export_id) is None:
        raise export_not_found(export_id)


async def _message_of_export(conn: Connection, tenant: UUID, export_id: UUID) -> Message | None:
    export = await select_export(conn, tenant, export_id)
    if export is None:
        return None
    assert export.finished_at is not None  # noqa: S101 - it has ended
    assert not isinstance(export.receipt, msgspec.UnsetType)  # noqa: S101 - the same
    return Message(
        type=f"export.{export.status}",
        timestamp=export.finished_at,
        data=EndedExport(
            id=export.id,
            status=export.status,
            url=f"/exports/{export.id}",
            input=export.input,
            progress=export.progress,
            rows_in=export.rows_in,
            duplicates=export.duplicates,
            rows_failed=export.rows_failed,
            rows_out=export.rows_out,
            files=export.files,
            bytes=export.bytes,
            receipt=export.receipt,
        ),
    )


EXPORT: Final = Subject(
    name="export", path="/exports", require=_require_export, read_message=_message_of_export
)

# A process claims the callbacks of these; others are left to processes that know more.
SUBJECTS: Final[dict[str, Subject]] = {each.name: each for each in (EXECUTION, BATCH, RUN, EXPORT)}
