"""Validate documents against a version of a schema, in the tenant's turn; nothing is stored."""

import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from app.auth.callers import Caller
from app.check_turns import CheckBusy, check_turn
from app.execution_errors import failure_of
from app.resources import Resources
from app.sandbox.framing import Chunk, LineTooLong, cut
from app.sandbox.outcomes import Crashed, Outcome, SchemaMismatch, Succeeded
from app.sandbox.parts import Format, RecordError
from app.sandbox.schema_checks import Checks, SchemaError
from app.sandbox.validation import LIMITS, validate_document, validate_lines
from app.schemas.checks import load_checks
from app.schemas.pinned import SchemaKey
from app.schemas.problems import DocumentTooLarge, ValidationFailed
from app.schemas.refs import SchemaRef
from app.schemas.resolution_store import resolve
from app.wording import printable

# A turn lasts as long at most: others wait meanwhile.
_LIMITS: Final = replace(LIMITS, wall_ms=5_000)
# Lines of one turn; their errors are held in memory until the client reads them.
_MAX_LINES_OF_TURN: Final = 2_000
_MAX_ERRORS_BYTES: Final = 4 * 1024
_BLANK: Final = b" \t\r"


class Choices(Struct, frozen=True, kw_only=True):
    """What a client wants to read: `excerpts` of values, and `all` lines or invalid ones only."""

    excerpts: bool = False
    all: bool = False


async def load_schema(resources: Resources, tenant: UUID, ref: SchemaRef) -> Checks:
    """Return what a reference names now, with its closure, to validate input with.

    Raises SchemaNotFound, SchemaVersionNotFound.
    """
    async with resources.pool.acquire() as conn:
        named = await resolve(conn, tenant, ref, allow_archived=True)
    key = SchemaKey(named.schema_id, named.version)
    checks = await load_checks(resources, tenant, input=key)
    assert checks is not None  # noqa: S101 - there is an input
    return checks


async def validate_one(
    resources: Resources, caller: Caller, checks: Checks, document: bytes, choices: Choices
) -> bytes:
    """Validate one document; return what the response says of it, as JSON.

    Raises ValidationFailed if it is no JSON and at a limit, CheckBusy, TooManyChecks.
    """
    assert isinstance(checks.input, str)  # noqa: S101 - as load_schema makes it
    async with check_turn(resources, caller):
        outcome = await validate_document(
            resources.sandbox,
            tenant=str(caller.tenant),
            schemas=checks.schemas,
            uri=checks.input,
            payload=document,
            excerpts=choices.excerpts,
            limits=_LIMITS,
        )
    match outcome:
        case Succeeded():
            return b'{"valid":true}'
        case SchemaMismatch(errors=errors, omitted=omitted):
            return _written({"valid": False, **_errors(errors, omitted=omitted)})
        case _:
            raise _failed(outcome, line=None)


async def validate_many(
    resources: Resources,
    caller: Caller,
    checks: Checks,
    pieces: AsyncIterable[bytes],
    choices: Choices,
) -> AsyncGenerator[bytes, None]:
    """Validate lines of JSON; yield lines about them after each turn, and a summary at the end.

    Turns are short, and none is held while the client sends or reads. Raises what `pieces` raises,
    DocumentTooLarge, ValidationFailed, CheckBusy, TooManyChecks.
    """
    lines = invalid = 0
    async for part in _parts(pieces):
        written, seen, wrong = await _validate_part(resources, caller, checks, part, choices)
        lines, invalid = lines + seen, invalid + wrong
        if written:
            yield written
    summary = {"lines": lines, "valid": lines - invalid, "invalid": invalid}
    yield _written({"summary": summary}) + b"\n"


async def _validate_part(
    resources: Resources, caller: Caller, checks: Checks, part: Chunk, choices: Choices
) -> tuple[bytes, int, int]:
    """Validate whole lines in one turn; return what to write, how many there are, and invalid."""
    refused: dict[int, bytes] = {}

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield part.data

    async def keep(errors: list[RecordError]) -> None:
        for each in errors:
            line = part.line + each.line - 1
            refused[line] = _refusal(line, each)

    async with check_turn(resources, caller):
        report = await validate_lines(
            resources.sandbox,
            tenant=str(caller.tenant),
            checks=checks,
            chunks=chunks(),
            on_errors=keep,
            excerpts=choices.excerpts,
            limits=_LIMITS,
        )
    if not isinstance(report.outcome, Succeeded):
        line = part.line if report.line is None else part.line + report.line - 1
        raise _failed(report.outcome, line=line)
    written = _all_lines(part, refused) if choices.all else b"".join(refused.values())
    return written, report.rows.rows_in, report.rows.rows_failed


def _all_lines(part: Chunk, refused: dict[int, bytes]) -> bytes:
    return b"".join(
        refused.get(line) or b'{"line":%d,"valid":true}\n' % line
        for line, text in enumerate(part.data.split(b"\n"), start=part.line)
        if text.strip(_BLANK)
    )


async def _parts(pieces: AsyncIterable[bytes]) -> AsyncGenerator[Chunk, None]:
    """Cut the input into the lines of one turn each. Raises DocumentTooLarge."""
    try:
        async for chunk in cut(pieces, format_=Format.RECORDS, first_line=1):
            for part in _divided(chunk):
                yield part
    except LineTooLong as error:
        raise DocumentTooLarge(str(error), errors=[{"pointer": "", "line": error.line}]) from None


def _divided(chunk: Chunk) -> Iterator[Chunk]:
    if chunk.data.count(b"\n") <= _MAX_LINES_OF_TURN:
        yield chunk
        return
    # At line feeds only: a carriage return is space within a document.
    *whole, rest = chunk.data.split(b"\n")
    lines = [*(line + b"\n" for line in whole), *([rest] if rest else [])]
    for start in range(0, len(lines), _MAX_LINES_OF_TURN):
        data = b"".join(lines[start : start + _MAX_LINES_OF_TURN])
        yield Chunk(chunk.line + start, data)


def _refusal(line: int, error: RecordError) -> bytes:
    members: dict[str, object] = {"line": line, "valid": False}
    if isinstance(error.outcome, SchemaMismatch):
        outcome = error.outcome
        members |= _errors(outcome.errors, omitted=outcome.omitted, max_bytes=_MAX_ERRORS_BYTES)
    else:
        failure = failure_of(error.outcome)
        message = failure.message if failure else "is not valid"
        members["errors"] = [
            {"pointer": "", "keyword": None, "schema_pointer": None, "message": message}
        ]
    return _written(members) + b"\n"


def _errors(
    errors: Sequence[SchemaError], *, omitted: int, max_bytes: int | None = None
) -> dict[str, object]:
    """Return the members about errors; what does not fit into `max_bytes` is counted only."""
    kept: list[object] = []
    left_bytes = max_bytes
    for error in errors:
        shown = to_builtins(error)
        if left_bytes is not None:
            left_bytes -= len(_written(shown))
            # The first one is shown in any case: its texts are bounded.
            if left_bytes < 0 and kept:
                break
        kept.append(shown)
    omitted += len(errors) - len(kept)
    return {"errors": kept, **({"errors_omitted": omitted} if omitted else {})}


def _failed(outcome: Outcome, *, line: int | None) -> ValidationFailed | CheckBusy:
    if isinstance(outcome, Crashed):
        return CheckBusy("the sandbox died", headers={"Retry-After": "1"})
    failure = failure_of(outcome)
    kind, message = (failure.kind, failure.message) if failure else ("invalid_result", "")
    place = "" if line is None else f"line {line}: "
    error: dict[str, object] = {"pointer": "", "kind": kind, "message": printable(message)}
    if line is not None:
        error["line"] = line
    return ValidationFailed(f"{place}{printable(message)}", errors=[error])


def _written(value: object) -> bytes:
    # As ASCII: texts of users can hold lone surrogates, which UTF-8 cannot.
    return json.dumps(value, separators=(",", ":")).encode("ascii")
