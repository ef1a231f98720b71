"""Check the records of a part against the schema of its dataset, in the sandbox."""

from contextlib import aclosing
from typing import Any, Final

import msgspec

from app.auth.callers import Caller
from app.check_turns import check_turn
from app.datasets.parts import ObjectCache, PartRef, StoredPart, read_range
from app.datasets.problems import InvalidRecords, UncheckedPart
from app.execution_errors import failure_of
from app.limits import MIB
from app.metrics import DATASET_PARTS
from app.resources import Resources
from app.sandbox.framing import LineTooLong
from app.sandbox.outcomes import Crashed, SchemaMismatch
from app.sandbox.parts import PartReport, RecordError
from app.sandbox.schema_checks import SchemaError, ref_of
from app.sandbox.validation import validate_lines
from app.schemas.checks import load_checks
from app.schemas.pinned import SchemaKey
from app.wording import printable

MAX_REPORTED_ERRORS: Final = 100

_CACHE_BYTES: Final = 1 * MIB

Fault = dict[str, Any]


async def require_valid_records(
    resources: Resources, caller: Caller, part: StoredPart, blob_key: str, schema: SchemaKey
) -> None:
    """Read a part that was stored, and require that each of its records satisfies the schema.

    It takes the tenant's turn at the sandbox once the part has arrived, so that no slow sender
    keeps it. Raises InvalidRecords with the first errors, by line; UncheckedPart; CheckBusy,
    TooManyChecks; BlobMissing, BlobsUnavailable, DatabaseUnavailable.
    """
    checks = await load_checks(resources, caller.tenant, input=schema)
    assert checks is not None  # noqa: S101 - there is a schema
    cache = ObjectCache(resources.blobs, max_bytes=_CACHE_BYTES)
    ref = PartRef(blob_key=blob_key, raw_bytes=part.raw_bytes, stored_bytes=part.stored_bytes)
    faults: list[Fault] = []

    async def on_errors(errors: list[RecordError]) -> None:
        for each in errors:
            if len(faults) < MAX_REPORTED_ERRORS:
                faults.extend(_faults_of(each)[: MAX_REPORTED_ERRORS - len(faults)])

    async def check() -> PartReport:
        async with aclosing(read_range(cache, ref, 0, ref.raw_bytes)) as chunks:
            return await validate_lines(
                resources.sandbox,
                tenant=str(caller.tenant),
                checks=checks,
                chunks=chunks,
                on_errors=on_errors,
            )

    try:
        async with check_turn(resources, caller):
            report = await check()
            if isinstance(report.outcome, Crashed):
                # As for executions: a crash without evidence of a limit is retried once.
                faults.clear()
                report = await check()
    except LineTooLong as error:
        raise UncheckedPart(str(error)) from None
    failure = failure_of(report.outcome)
    if failure is None and not report.rows.rows_failed:
        return
    DATASET_PARTS.labels("refused").inc()
    if failure is not None:
        raise UncheckedPart(failure.message)
    assert isinstance(checks.input, str)  # noqa: S101 - loaded as such
    raise _refusal(report.rows.rows_failed, ref_of(checks.input), faults)


def _refusal(failed: int, ref: str, faults: list[Fault]) -> InvalidRecords:
    first = faults[0]
    place = f"{first['pointer']}: " if first["pointer"] else ""
    count = "1 record does" if failed == 1 else f"{failed} records do"
    return InvalidRecords(
        f"{count} not satisfy {ref}; line {first['line']}: {place}{first['message']}",
        errors=faults,
        members={"schema": ref, "invalid_records": failed},
    )


def _faults_of(error: RecordError) -> list[Fault]:
    """Return the faults of one record, with its line."""
    outcome = error.outcome
    if isinstance(outcome, SchemaMismatch):
        return [{**_members(each), "line": error.line} for each in outcome.errors]
    failure = failure_of(outcome)
    assert failure is not None  # noqa: S101 - no outcome of a record is a success
    return [{"pointer": "", "line": error.line, "message": printable(failure.message)}]


def _members(error: SchemaError) -> Fault:
    members: Fault = msgspec.to_builtins(error)
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in members.items()
    }
