"""Resolve the dead letters that a client names to conditions of the database."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.db import Connection
from app.dead_letters.letter_store import select_pipe_id
from app.dead_letters.model import LetterFilter, LetterState
from app.errors import clipped, invalid
from app.references import is_uuid
from app.schemas import resolution_store as schemas
from app.schemas.refs import parse_schema_ref
from app.scripts import service as scripts

# PostgreSQL's text type stores every character but NUL.
Pipe = Annotated[
    str, Meta(max_length=63, pattern=r"^[^\x00]*$", description="the pipe's name or id")
]
Kind = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z_]{0,62}$(?!\n)",
        description="kind of the error, of the pipe or of the last re-drive",
    ),
]
SchemaChoice = Annotated[
    str, Meta(max_length=200, description="a schema or a version of it: `events`, `events@3`")
]
ScriptChoice = Annotated[
    str, Meta(max_length=200, description="a script or a version of it: `clean`, `clean@7`")
]
Pointer = Annotated[
    str,
    Meta(
        max_length=1_000,
        pattern=r"^(/[^\x00]*)?$",
        description="JSON pointer of one of the schema errors: `/user/age`",
    ),
]


class LetterConditions(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Conditions on dead letters, all of which must hold. Times are those of the first failure.

    `kind`, `schema`, `script` and `pointer` are about one failure: that of the pipe, or the last
    one of a re-drive. `to` is exclusive.
    """

    pipe: Pipe | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    state: LetterState | UnsetType = UNSET
    schema: SchemaChoice | UnsetType = UNSET
    script: ScriptChoice | UnsetType = UNSET
    created_from: Annotated[datetime, Meta(tz=True)] | UnsetType = field(name="from", default=UNSET)
    created_before: Annotated[datetime, Meta(tz=True)] | UnsetType = field(name="to", default=UNSET)
    pointer: Pointer | UnsetType = UNSET

    @property
    def is_empty(self) -> bool:
        """Whether every letter of the tenant matches."""
        return self == LetterConditions()


async def resolve_conditions(
    conn: Connection, tenant: UUID, conditions: LetterConditions
) -> LetterFilter:
    """Look up the pipe, the schema and the script, which may be archived.

    Raises InvalidRequest for an unknown pipe, SchemaNotFound, SchemaVersionNotFound,
    ScriptNotFound, VersionNotFound.
    """
    return LetterFilter(
        pipe_id=await _pipe_of(conn, tenant, conditions),
        kind=conditions.kind or None,
        state=conditions.state or None,
        schema=await _schema_of(conn, tenant, conditions),
        script=await _script_of(conn, tenant, conditions),
        created_from=conditions.created_from or None,
        created_before=conditions.created_before or None,
        pointer=None if conditions.pointer is UNSET else conditions.pointer,
    )


async def find_pipe(conn: Connection, tenant: UUID, pipe: str) -> UUID:
    """Find a pipe by its name; an id stands for itself, also for a pipe that is deleted.

    Raises InvalidRequest for an unknown name.
    """
    if is_uuid(pipe):
        return UUID(pipe)
    found = await select_pipe_id(conn, tenant, pipe)
    if found is None:
        raise invalid(
            "/pipe",
            f"there is no pipe {clipped(pipe)!r}; GET /pipes lists them, and the letters of a "
            "deleted one are found by its id",
        )
    return found


async def _pipe_of(conn: Connection, tenant: UUID, conditions: LetterConditions) -> UUID | None:
    return await find_pipe(conn, tenant, conditions.pipe) if conditions.pipe else None


async def _schema_of(
    conn: Connection, tenant: UUID, conditions: LetterConditions
) -> tuple[UUID, int | None] | None:
    if not conditions.schema:
        return None
    ref = parse_schema_ref(conditions.schema)
    found = await schemas.resolve(conn, tenant, ref, allow_archived=True)
    return found.schema_id, found.version if "@" in conditions.schema else None


async def _script_of(
    conn: Connection, tenant: UUID, conditions: LetterConditions
) -> tuple[UUID, int | None] | None:
    if not conditions.script:
        return None
    return await scripts.resolve_filter(conn, tenant, conditions.script)
