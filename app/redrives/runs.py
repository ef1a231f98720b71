"""Re-drive the failed records of a run: which ones, into which dataset, and on trial."""

from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, Raw, Struct, UnsetType

from app.auth.callers import Caller
from app.check_turns import check_turn
from app.datasets.parts import ObjectCache
from app.db import Connection
from app.errors import located
from app.execution_errors import failure_of
from app.redrives import run_store
from app.redrives.model import MAX_SAMPLES, MAX_SHOWN_BYTES, RedriveFilter, RedrivePlan, RetrySample
from app.redrives.problems import CannotRedrive
from app.redrives.run_lines import LOST, place_of, read_record
from app.redrives.run_mapping import Mapper, stream
from app.redrives.run_store import FailedRecord
from app.resources import Resources
from app.runs.model import RunStatus
from app.runs.problems import RunNotFound, run_not_finished, run_not_found
from app.runs.record_errors import kept_error
from app.runs.refs import parse_run_id
from app.sandbox.framing import LineTooLong
from app.sandbox.parts import Format, RecordError
from app.scripts.model import ResolvedVersion

_POINTER: Final = "/filter/run"


class RunMatch(Struct, frozen=True, kw_only=True):
    """A run whose failed records can be tried again, and what with."""

    mapper: Mapper
    kind: str | None


async def find(
    conn: Connection,
    tenant: UUID,
    wanted: RedriveFilter,
    script: ResolvedVersion | None,
    redrive_id: UUID,
) -> RunMatch:
    """Find the run of a filter, and require that its records have somewhere to go.

    Raises RunNotFound, RunNotFinished, CannotRedrive, InvalidRequest.
    """
    assert not isinstance(wanted.run, UnsetType)  # noqa: S101 - it is of this kind
    try:
        run_id = parse_run_id(wanted.run)
        run = await run_store.select_run(conn, tenant, run_id)
        if run is None:
            raise run_not_found(run_id)
    except RunNotFound as problem:
        raise located(_POINTER, problem) from None
    if not run.status.final:
        raise located(_POINTER, run_not_finished(run_id, run.status))
    if reason := _refusal(run):
        raise located(_POINTER, CannotRedrive(reason))
    script_id, version = run.script_id, run.version
    if script is not None:
        script_id, version = script.script_id, script.version
    mapper = Mapper(
        tenant=tenant,
        redrive_id=redrive_id,
        run=run,
        version=await run_store.select_version(conn, tenant, script_id, version),
    )
    mapper.require_runnable()
    return RunMatch(mapper=mapper, kind=None if wanted.kind is UNSET else str(wanted.kind))


def _refusal(run: run_store.SourceRun) -> str | None:
    """Return why the values of failed records have nowhere to go, if so."""
    if run.output_dataset is None:
        return "the run has no output: its records went into a fold, which has its result"
    if not run.publishes:
        return "the run is a replay, which has published nothing; name its original"
    if run.status is not RunStatus.SUCCEEDED:
        return f"the run has {run.status} and published nothing that they could be appended to"
    if run.output_format is None:
        return f"the dataset {run.output_dataset!r} of its output has been deleted"
    if run.format not in (Format.RECORDS, Format.LINES):
        return f"the run is over {run.format}, which has no records"
    return None


async def mark(conn: Connection, tenant: UUID, match: RunMatch) -> int:
    """Mark what matches as the re-drive's own, under `lock_redrives`; return how many."""
    mapper = match.mapper
    return await run_store.mark_records(
        conn, tenant, mapper.run.id, mapper.redrive_id, kind=match.kind
    )


async def plan(
    resources: Resources,
    cache: ObjectCache,
    caller: Caller,
    wanted: RedriveFilter,
    script: ResolvedVersion | None,
) -> RedrivePlan:
    """Count what matches, and run the first ten.

    Raises what `find` raises, CheckBusy, TooManyChecks.
    """
    async with resources.pool.acquire() as conn:
        match = await find(conn, caller.tenant, wanted, script, uuid.uuid7())
        run_id = match.mapper.run.id
        matched = await run_store.count_free(conn, caller.tenant, run_id, kind=match.kind)
        first = await run_store.select_free(
            conn, caller.tenant, run_id, kind=match.kind, limit=MAX_SAMPLES
        )
    samples = [await _sample(resources, cache, caller, match.mapper, each) for each in first]
    return RedrivePlan(matched=matched, samples=samples)


async def _sample(
    resources: Resources, cache: ObjectCache, caller: Caller, mapper: Mapper, failed: FailedRecord
) -> RetrySample:
    place = place_of(failed)
    record = await read_record(cache, failed)
    if record is None:
        return RetrySample(id=place, outcome="left_out", error=Raw(LOST))
    output = bytearray()
    errors: list[RecordError] = []

    async def keep(chunk: bytes) -> None:
        output.extend(chunk)

    try:
        async with check_turn(resources, caller):
            report = await stream(resources, mapper.on_trial(), [record], sink=keep, errors=errors)
    except LineTooLong:
        return RetrySample(id=place, outcome="left_out", error=Raw(LOST))
    failure = failure_of(report.outcome)
    if failure is not None:
        return RetrySample(id=place, outcome="failed_again", error=Raw(failure.document()))
    if errors:
        return RetrySample(id=place, outcome="failed_again", error=Raw(kept_error(errors[0]).error))
    return RetrySample(
        id=place, outcome="moved", forward=_shown(bytes(output)), forward_bytes=len(output)
    )


def _shown(output: bytes) -> Raw | UnsetType:
    """Return the values of one record as JSON: one as it is, more or none as an array."""
    if len(output) > MAX_SHOWN_BYTES:
        return UNSET
    lines = output.removesuffix(b"\n").split(b"\n") if output else []
    if len(lines) == 1:
        return Raw(lines[0])
    return Raw(b"[" + b",".join(lines) + b"]")
