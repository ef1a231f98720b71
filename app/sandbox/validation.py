"""Validate schemas and documents in the sandbox, without user code."""

from collections.abc import AsyncIterable
from typing import Final

from app.sandbox.outcomes import Limits, Outcome
from app.sandbox.parts import ErrorSink, OnError, PartReport
from app.sandbox.pool import SandboxPool
from app.sandbox.schema_checks import Checks, SchemaError, SchemaSet

# Of one schema, one document, or one part of lines.
LIMITS: Final = Limits(
    wall_ms=10_000, memory_bytes=256 * 1024 * 1024, output_bytes=2 * 1024 * 1024, console_lines=0
)


async def check_schema(
    pool: SandboxPool, *, tenant: str, schemas: SchemaSet, uri: str, limits: Limits = LIMITS
) -> tuple[SchemaError, ...]:
    """Check a schema against the meta-schema of its draft, and compile it; () means it can be used.

    `schemas.documents[uri]` is not trusted, and may be any bytes; the others have been checked. The
    errors' pointers are places in it. A schema that reaches a limit has one error that says so.
    Raises what `SandboxPool.run` raises, and SandboxUnavailable if the sandbox dies twice.
    """
    raise NotImplementedError


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
    raise NotImplementedError


async def validate_lines(
    pool: SandboxPool,
    *,
    tenant: str,
    checks: Checks,
    chunks: AsyncIterable[bytes],
    on_errors: ErrorSink,
    excerpts: bool = False,
    on_error: OnError = OnError.SKIP,
    limits: Limits = LIMITS,
) -> PartReport:
    """Validate NDJSON of any length with constant memory; only invalid lines go to `on_errors`.

    `rows.rows_in` counts the lines, `rows.rows_failed` the invalid ones. The wall time limit does
    not count the time of `chunks` and `on_errors`. Raises what `SandboxPool.stream` raises.
    """
    raise NotImplementedError
