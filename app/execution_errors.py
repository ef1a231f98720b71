"""Render the sandbox's outcomes as error documents for clients."""

import json
from enum import StrEnum
from typing import Annotated, Final, assert_never

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.limits import MAX_SCHEMA_ERRORS_BYTES
from app.sandbox.outcomes import (
    Crashed,
    InvalidInput,
    InvalidResult,
    Outcome,
    OutOfMemory,
    OutputTooLarge,
    SchemaMismatch,
    ScriptError,
    Succeeded,
    Threw,
    TimedOut,
    UnknownSchema,
    UnsettledPromise,
)
from app.sandbox.schema_checks import SchemaError, ref_of

# Of an error document about a schema; its other members are short.
_MAX_MISMATCH_BYTES: Final = MAX_SCHEMA_ERRORS_BYTES
_OTHER_MEMBERS_BYTES: Final = 512


class ErrorKind(StrEnum):
    """Why an execution failed (docs/scripts.md has a line on each)."""

    SCRIPT_ERROR = "script_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    INVALID_INPUT = "invalid_input"
    INVALID_RESULT = "invalid_result"
    OUTPUT_TOO_LARGE = "output_too_large"
    UNSETTLED_PROMISE = "unsettled_promise"
    INPUT_SCHEMA_MISMATCH = "input_schema_mismatch"
    OUTPUT_SCHEMA_MISMATCH = "output_schema_mismatch"
    # Of an event in a pipe.
    UNKNOWN_SCHEMA = "unknown_schema"
    SANDBOX_CRASH = "sandbox_crash"
    WORKER_LOST = "worker_lost"


class ThrownError(Struct, frozen=True, kw_only=True):
    """An error that a script threw, with its `cause` and its aggregated `errors`.

    `line` and `column` count from 1, the column in UTF-16 units, both in the script's own source;
    `excerpt` is that line with a caret below. `stack` has the script's frames only.
    """

    message: str
    name: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    column: int | UnsetType = UNSET
    excerpt: str | UnsetType = UNSET
    stack: str | UnsetType = UNSET
    cause: "ThrownError | UnsetType" = UNSET
    errors: "list[ThrownError] | UnsetType" = UNSET


class ExecutionError(ThrownError, frozen=True, kw_only=True):
    """Why an execution has no result. An error that a script threw has the kind `script_error`.

    `limit_ms` and `limit_bytes` are the limit that was exceeded; `byte_offset` is the first invalid
    byte of an input that is not UTF-8. `schema` is the version that refuses the input or the
    output, as `events@3`; `schema_errors` are its first errors, a hundred and 8 KiB at most, and
    `schema_errors_omitted` counts the rest. Of a part of a run, `path` is the file that it reads,
    `input_line` the line that it had reached, and `max_errors` that of the run if more records have
    failed.
    """

    kind: ErrorKind
    limit_ms: int | UnsetType = UNSET
    limit_bytes: int | UnsetType = UNSET
    byte_offset: int | UnsetType = UNSET
    schema: str | UnsetType = UNSET
    schema_errors: list[SchemaError] | UnsetType = UNSET
    schema_errors_omitted: int | UnsetType = UNSET
    path: str | UnsetType = UNSET
    input_line: int | UnsetType = UNSET
    max_errors: int | UnsetType = UNSET


# Stored as written: msgspec cannot write the lone surrogates of user code.
WrittenError = Annotated[
    Raw, Meta(extra_json_schema={"$ref": f"#/components/schemas/{ExecutionError.__name__}"})
]


class Failure(Struct, frozen=True):
    """An error document before it is written."""

    kind: ErrorKind
    message: str
    details: dict[str, object]

    def document(self) -> bytes:
        """Write the document."""
        return error_document(self.kind, self.message, **self.details)


def error_document(kind: StrEnum, message: str, **details: object) -> bytes:
    """Write an error as ASCII JSON, which preserves any character of user code's text."""
    present = {name: value for name, value in details.items() if value is not None}
    return json.dumps({"kind": kind, "message": message, **present}).encode("ascii")


def failure_of(  # noqa: C901, PLR0911, PLR0912 - one case an outcome
    outcome: Outcome,
) -> Failure | None:
    """Return why there is no result; None: there is one."""
    match outcome:
        case Succeeded():
            return None
        case Threw(error=error):
            return Failure(ErrorKind.SCRIPT_ERROR, error.message, _details(error))
        case TimedOut(limit_ms=limit_ms, of_cpu=of_cpu):
            excess = "used more CPU time" if of_cpu else "ran longer"
            message = f"the script {excess} than its limit of {limit_ms} ms"
            return Failure(ErrorKind.TIMEOUT, message, {"limit_ms": limit_ms})
        case OutOfMemory(limit_bytes=limit_bytes, of_host=of_host):
            bound = "its worker had left, below its limit" if of_host else "its limit"
            message = f"the script needed more memory than {bound} of {limit_bytes} bytes"
            return Failure(ErrorKind.OUT_OF_MEMORY, message, {"limit_bytes": limit_bytes})
        case InvalidInput(message=message, byte_offset=byte_offset):
            return Failure(ErrorKind.INVALID_INPUT, message, {"byte_offset": byte_offset})
        case InvalidResult(message=message):
            return Failure(ErrorKind.INVALID_RESULT, message, {})
        case SchemaMismatch():
            return _mismatch(outcome)
        case UnknownSchema(values=values, pointer=pointer):
            message = f"no schema is named by {values!r}"
            if pointer is not None:
                message = f"{pointer}: is no string, and the schema is chosen by it"
            return Failure(ErrorKind.UNKNOWN_SCHEMA, message, {})
        case OutputTooLarge(limit_bytes=limit_bytes):
            message = f"the result is larger than its limit of {limit_bytes} bytes"
            return Failure(ErrorKind.OUTPUT_TOO_LARGE, message, {"limit_bytes": limit_bytes})
        case UnsettledPromise():
            message = "process returned a promise that can never settle"
            return Failure(ErrorKind.UNSETTLED_PROMISE, message, {})
        case Crashed():
            # V8's last message is only in the service's log, for operators.
            message = "the sandbox died twice without evidence of a limit"
            return Failure(ErrorKind.SANDBOX_CRASH, message, {})
        case _:
            assert_never(outcome)


def _mismatch(outcome: SchemaMismatch) -> Failure:
    schema = ref_of(outcome.schema)
    first, *others = outcome.errors
    more = len(others) + outcome.omitted
    place = f"{first.pointer}: " if first.pointer else ""
    message = f"{place}{first.message} ({schema}"
    message += f"; {more} more)" if more else ")"
    kept: list[object] = []
    left_bytes = _MAX_MISMATCH_BYTES - _OTHER_MEMBERS_BYTES - len(json.dumps(message))
    for error in outcome.errors:
        written = msgspec.to_builtins(error)
        left_bytes -= len(json.dumps(written)) + len(", ")
        if left_bytes < 0:
            break
        kept.append(written)
    omitted = len(outcome.errors) - len(kept) + outcome.omitted
    details: dict[str, object] = {
        "schema": schema,
        "schema_errors": kept,
        "schema_errors_omitted": omitted or None,
    }
    kind = {"input": ErrorKind.INPUT_SCHEMA_MISMATCH, "output": ErrorKind.OUTPUT_SCHEMA_MISMATCH}
    return Failure(kind[outcome.side], message, details)


def over_quota(size_bytes: int, *, limit_bytes: int, left_bytes: int) -> Failure:
    """Make the failure of a result that exceeds the tenant's quota of stored bytes."""
    message = (
        f"the result has {size_bytes} bytes, and the tenant's quota of stored bytes "
        f"({limit_bytes}) leaves {left_bytes}; erase data of earlier executions, or ask whoever "
        "runs this service for more"
    )
    return Failure(ErrorKind.OUTPUT_TOO_LARGE, message, {"limit_bytes": left_bytes})


def _details(error: ScriptError) -> dict[str, object]:
    """Return the members of an error document besides the message; None: unknown."""
    return {
        "name": error.name,
        "line": error.line,
        "column": error.column,
        "excerpt": error.excerpt,
        "stack": error.stack or None,
        "cause": None if error.cause is None else _nested(error.cause),
        "errors": [_nested(inner) for inner in error.errors] or None,
    }


def _nested(error: ScriptError) -> dict[str, object]:
    members = {"message": error.message, **_details(error)}
    return {name: value for name, value in members.items() if value is not None}
