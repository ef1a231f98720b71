"""Validate schemas and documents in the sandbox, without user code."""

from collections.abc import AsyncIterable
from typing import Final

import msgspec
from msgspec.structs import replace

from app.sandbox import validator
from app.sandbox.frames import decode_frame
from app.sandbox.outcomes import (
    Job,
    Limits,
    Outcome,
    OutOfMemory,
    Succeeded,
    Threw,
    TimedOut,
)
from app.sandbox.parts import ErrorSink, OnError, Part, PartReport, Task
from app.sandbox.pool import SandboxPool, SandboxUnavailable
from app.sandbox.protocol import ProtocolError
from app.sandbox.schema_checks import Checks, SchemaError, SchemaSet

# Of one schema, one document, or lines of any number.
LIMITS: Final = Limits(
    wall_ms=10_000, memory_bytes=256 * 1024 * 1024, output_bytes=2 * 1024 * 1024, console_lines=0
)
_ATTEMPTS: Final = 2
_MAX_LINES: Final = 2**53 - 1
# What reaches these functions has been validated.
_VALIDATES: Final = b"const process = () => null, map = process"
# The schema is a text within the payload, so that it ends where it ends.
_CHECKS_SCHEMA: Final = b"""const { boundedErrors, compile } = (%b)();
const process = ({ uri, documents, strict }) => {
  const registry = { __proto__: null }, closed = { __proto__: null };
  for (const [name, text] of documents) {
    const get = () => JSON.parse(text);
    Object.defineProperty(registry, name, { get, enumerable: true });
  }
  for (const name of strict) closed[name] = true;
  const refuse = (message) => [{ pointer: "", keyword: null, schema_pointer: null, message }];
  let schema;
  try {
    schema = registry[uri];
  } catch (thrown) {
    return boundedErrors(refuse(`is not JSON: ${thrown.message}`)).errors;
  }
  try {
    compile(schema, { uri, registry, strict: closed, formats: true });
    return [];
  } catch (thrown) {
    const errors = thrown.errors ?? refuse(`cannot be compiled: ${thrown.message}`);
    return boundedErrors(errors).errors;
  }
};
""" % validator.source()


async def check_schema(
    pool: SandboxPool, *, tenant: str, schemas: SchemaSet, uri: str, limits: Limits = LIMITS
) -> tuple[SchemaError, ...]:
    """Check a schema against the meta-schema of its draft, and compile it; () means it can be used.

    `schemas.documents[uri]` is not trusted, and may be any bytes; the others have been checked. The
    errors' pointers are places in it. A schema that reaches a limit has one error that says so.
    Raises what `SandboxPool.run` raises, and SandboxUnavailable if the sandbox dies twice.
    """
    try:
        documents = [(name, text.decode()) for name, text in schemas.documents.items()]
    except UnicodeDecodeError as error:
        return _refused(f"is not UTF-8: {error.reason} at byte {error.start}")
    about = {"uri": uri, "documents": documents, "strict": sorted(schemas.strict)}
    payload = msgspec.json.encode(about)
    for attempt in range(_ATTEMPTS):
        output = bytearray()

        async def sink(chunk: bytes, output: bytearray = output) -> None:
            output.extend(chunk)

        report = await pool.run(
            _job(_CHECKS_SCHEMA, tenant=tenant, limits=limits),
            payload=payload,
            sink=sink,
            fresh=attempt > 0,
        )
        errors = _errors_of(report.outcome, bytes(output))
        if errors is not None:
            return errors
    message = "the sandbox died in the check of a schema, and again when it was repeated"
    raise SandboxUnavailable(message)


async def validate_document(
    pool: SandboxPool,
    *,
    tenant: str,
    schemas: SchemaSet,
    uri: str,
    payload: bytes | AsyncIterable[bytes],
    excerpts: bool = False,
    limits: Limits = LIMITS,
) -> Outcome:
    """Validate one JSON document: Succeeded if it is valid, SchemaMismatch if it is not.

    InvalidInput if it is no JSON; TimedOut or OutOfMemory at a limit. Raises what `SandboxPool.run`
    raises.
    """
    checks = Checks(schemas=schemas, input=uri, excerpts=excerpts)
    job = _job(_VALIDATES, tenant=tenant, limits=limits, checks=checks)
    return (await pool.run(job, payload=payload, sink=_discard)).outcome


async def validate_lines(  # noqa: PLR0913 - what a stream needs
    pool: SandboxPool,
    *,
    tenant: str,
    checks: Checks,
    chunks: AsyncIterable[bytes],
    on_errors: ErrorSink,
    excerpts: bool = False,
    on_error: OnError = OnError.SKIP,
    limits: Limits = LIMITS,
    fresh: bool = False,
) -> PartReport:
    """Validate NDJSON of any length with constant memory; its invalid lines go to `on_errors`.

    The input of `checks` decides. `rows.rows_in` counts the lines that are not blank,
    `rows.rows_failed` the invalid ones. The wall time limit does not count the time of `chunks` and
    `on_errors`. `fresh`: in a cell that has done nothing before. Raises what `SandboxPool.stream`
    raises.
    """
    checks = replace(checks, output=None, excerpts=excerpts or checks.excerpts)
    return await pool.stream(
        _job(_VALIDATES, tenant=tenant, limits=limits, checks=checks),
        Part(task=Task.MAP, on_error=on_error, max_errors=_MAX_LINES),
        sink=_discard,
        chunks=chunks,
        on_errors=on_errors,
        fresh=fresh,
    )


def _job(source: bytes, *, tenant: str, limits: Limits, checks: Checks | None = None) -> Job:
    return Job(tenant=tenant, source=source, seed=0, clock_ms=0, limits=limits, checks=checks)


def _errors_of(outcome: Outcome, output: bytes) -> tuple[SchemaError, ...] | None:
    """Return what the check of a schema found; None: nothing, as the sandbox died."""
    match outcome:
        case Succeeded():
            try:
                return decode_frame(output, tuple[SchemaError, ...])
            except ProtocolError:
                return None
        case TimedOut(limit_ms=limit_ms):
            return _refused(f"takes longer to compile than {limit_ms} ms")
        case OutOfMemory(limit_bytes=limit_bytes, of_host=False):
            return _refused(f"needs more memory to compile than {limit_bytes} bytes")
        case Threw(error=error):
            return _refused(f"cannot be compiled: {error.message[:200]}")
        case _:
            return None


def _refused(message: str) -> tuple[SchemaError, ...]:
    return (SchemaError(pointer="", keyword=None, schema_pointer=None, message=message),)


async def _discard(_chunk: bytes) -> None:
    """Accept no output: nothing of ours has any."""
