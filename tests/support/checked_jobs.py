"""Make jobs that validate their input and output."""

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from app.sandbox.outcomes import Job, SchemaMismatch
from app.sandbox.schema_checks import Checks, Choice, SchemaSet
from tests.support.sandbox_runs import MIB, job

EVENT: Final = "crivo:/schemas/event@1"
RESULT: Final = "crivo:/schemas/result@2"
# An event has an integer, and perhaps a name; a result is a text.
SCHEMAS: Final[Mapping[str, Any]] = {
    EVENT: {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "name": {"type": "string", "minLength": 1}},
        "required": ["n"],
    },
    RESULT: {"type": "string"},
}


def schema_set(
    schemas: Mapping[str, Any] = SCHEMAS, strict: frozenset[str] = frozenset({EVENT})
) -> SchemaSet:
    documents = {uri: json.dumps(schema).encode() for uri, schema in schemas.items()}
    return SchemaSet(documents, frozenset(strict & documents.keys()))


def checked(
    source: str,
    *,
    schemas: SchemaSet | None = None,
    input_: str | Choice | None = EVENT,
    output: str | None = None,
    excerpts: bool = False,
    wall_ms: int = 10_000,
    memory_bytes: int = 512 * MIB,
) -> Job:
    checks = Checks(
        schemas=schema_set() if schemas is None else schemas,
        input=input_,
        output=output,
        excerpts=excerpts,
    )
    return replace(job(source, wall_ms=wall_ms, memory_bytes=memory_bytes), checks=checks)


def by(schema: object, *, wall_ms: int = 10_000) -> Job:
    """Return a job whose input is validated by one schema, not a strict one."""
    source = "const process = d => d, map = process"
    schemas = schema_set({EVENT: schema}, frozenset())
    return checked(source, schemas=schemas, wall_ms=wall_ms)


def refusals(outcome: object) -> list[tuple[str, str | None]]:
    """Return pointer and keyword of each error of a mismatch."""
    assert isinstance(outcome, SchemaMismatch), outcome
    return [(error.pointer, error.keyword) for error in outcome.errors]
