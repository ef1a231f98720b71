"""Resolve the schemas and the script that a pipe's definition names now."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.pipes import plan_store
from app.pipes.model import ChosenSchema, DatasetSink, LoadedPipe, PutPipe
from app.pipes.problems import ScriptForBytes
from app.resources import Resources
from app.sandbox.outcomes import Context, Io, Limits, ScriptKind
from app.sandbox.schema_checks import MAX_SET_BYTES, Checks, Choice, SchemaSet
from app.schema_bundles import Version
from app.schemas import resolution_store as schemas
from app.schemas.model import ResolvedSchema
from app.schemas.problems import TooManySchemas
from app.schemas.refs import parse_schema_ref
from app.scripts import service as scripts
from app.scripts.model import ResolvedVersion
from app.scripts.refs import parse_ref
from app.settings import Settings

# A moved alias counts this much later at most.
_SECONDS: Final = 1.0
# Names with many dots have many ways to be joined of few strings.
_MAX_WAYS: Final = 64
_READ_AT_ONCE: Final = 4
# Pipes take turns: an event that never ends would hold up those of others for longer.
_MAX_EVENT_MS: Final = 10_000


class PlannedScript(Struct, frozen=True, kw_only=True):
    """A version that events go through: its `map` if it has one, else its `process`."""

    id: UUID
    version: int
    source: bytes
    has_map: bool
    limits: Limits
    context: Context


class Plan(Struct, frozen=True, kw_only=True):
    """What events are checked by and go through; `versions` are the schemas by their URIs."""

    checks: Checks | None
    versions: Mapping[str, Version]
    script: PlannedScript | None


class PlanCache:
    """The plan of a pipe as it is defined at one time, resolved again after a second."""

    def __init__(self, resources: Resources, pipe: LoadedPipe) -> None:
        """Begin with none."""
        self._resources = resources
        self._pipe = pipe
        self._plan: Plan | None = None
        self._until = 0.0

    async def plan(self) -> Plan:
        """Return the plan of the pipe. Raises what `resolve_plan` raises."""
        if self._plan is None or monotonic() >= self._until:
            self._plan = await resolve_plan(self._resources, self._pipe)
            self._until = monotonic() + _SECONDS
        return self._plan


async def resolve_plan(
    resources: Resources, pipe: LoadedPipe, *, script: ResolvedVersion | None = None
) -> Plan:
    """Resolve a pipe's references; `script` replaces its own, and makes events for the pipe.

    What it returns is no record of the pipe's dataset yet. Raises what `require_schema` and
    `require_script` raise.
    """
    tenant, makes_events = pipe.tenant_id, script is not None
    async with resources.pool.acquire() as conn:
        named = await _schemas(conn, tenant, pipe.definition)
        script = script or await _script(conn, tenant, pipe.definition)
        planned, own_input, own_output = None, None, None
        if script is not None:
            stored = await plan_store.select_version(conn, tenant, script)
            planned = _planned(stored, script, pipe, resources.settings)
            own_input = _own(stored.input_schema_id, stored.input_schema_version)
            own_output = _own(stored.output_schema_id, stored.output_schema_version)
        wanted = {(each.schema_id, each.version): each.uri for each in named}
        record = None if makes_events else await _record_schema(conn, tenant, pipe.definition)
        for own in (own_input, own_output, record):
            if own is not None and own not in wanted:
                wanted[own] = await resources.bundles.uri(conn, tenant, *own)
        if not wanted and pipe.definition.schema is None:
            return Plan(checks=None, versions={}, script=planned)
        bundle = await _bundle(resources, conn, tenant, list(wanted))
    inputs: list[str | Choice] = []
    match pipe.definition.schema:
        case ChosenSchema() as by:
            inputs.append(Choice(by=by.by, uris=_uris_by_values(by, named)))
        case str():
            inputs.append(named[0].uri)
    outputs: list[str] = []
    if own_input is not None:
        inputs.append(wanted[own_input])
    if own_output is not None:
        outputs.append(wanted[own_output])
    if record is not None:
        # Without a script the event itself becomes the record.
        (inputs if planned is None else outputs).append(wanted[record])
    return Plan(
        checks=Checks(schemas=bundle, input=_deciding(inputs), output=_deciding(outputs)),
        versions={uri: version for version, uri in wanted.items()},
        script=planned,
    )


async def require_schema(
    resources: Resources, conn: Connection, tenant: UUID, definition: PutPipe
) -> None:
    """Check that events can be checked by what a definition names.

    Raises SchemaNotFound, SchemaVersionNotFound, SchemaArchived, TooManySchemas.
    """
    named = await _schemas(conn, tenant, definition, allow_archived=False)
    await _bundle(resources, conn, tenant, [(each.schema_id, each.version) for each in named])


async def require_script(conn: Connection, tenant: UUID, definition: PutPipe) -> None:
    """Check that events can go through what a definition names.

    Raises ScriptNotFound, VersionNotFound, ScriptArchived, ScriptForBytes.
    """
    await _script(conn, tenant, definition)


async def _bundle(
    resources: Resources, conn: Connection, tenant: UUID, versions: Sequence[Version]
) -> SchemaSet:
    """Return schemas with all that they refer to. Raises TooManySchemas."""
    sizes: dict[Version, int] = {}
    # A few at a time: all of them may be far more than a cell takes.
    for first in range(0, len(versions), _READ_AT_ONCE):
        some = versions[first : first + _READ_AT_ONCE]
        closure = await resources.bundles.closure(conn, tenant, some)
        sizes |= {version: each.size_bytes for version, each in closure.items()}
        if sum(sizes.values()) > MAX_SET_BYTES:
            raise TooManySchemas(
                f"the schemas have more than {MAX_SET_BYTES} bytes, the most that a pipe can "
                "choose from; name one, or choose by a longer prefix"
            )
    return await resources.bundles.schemas(conn, tenant, versions)


async def _schemas(
    conn: Connection, tenant: UUID, definition: PutPipe, *, allow_archived: bool = True
) -> list[ResolvedSchema]:
    """Resolve what a definition names; a pipe goes on with a schema that is archived."""
    match definition.schema:
        case None:
            return []
        case str() as ref:
            parsed = parse_schema_ref(ref)
            return [await schemas.resolve(conn, tenant, parsed, allow_archived=allow_archived)]
        case chosen:
            return await schemas.resolve_all_named(conn, tenant, chosen.prefix, chosen.alias)


async def _script(conn: Connection, tenant: UUID, definition: PutPipe) -> ResolvedVersion | None:
    if definition.script is None:
        return None
    ref = parse_ref(definition.script)
    version = await scripts.resolve(conn, tenant, ref)
    stored = await plan_store.select_version(conn, tenant, version)
    if version.io is not Io.JSON or not {ScriptKind.MAP, ScriptKind.PROCESS} & {*stored.kinds}:
        raise ScriptForBytes(
            f"version {version.version} of {definition.script!r} has neither `map` nor `process` "
            "over JSON, one of which a pipe calls with each event"
        )
    return version


def _planned(
    stored: plan_store.StoredVersion, version: ResolvedVersion, pipe: LoadedPipe, settings: Settings
) -> PlannedScript:
    wall_ms = min(stored.wall_ms or settings.default_wall_ms, settings.max_wall_ms, _MAX_EVENT_MS)
    cpu_ms = min(stored.max_cpu_ms or wall_ms, settings.max_cpu_ms)
    memory_bytes = stored.memory_bytes or settings.default_memory_bytes
    output_bytes = stored.max_output_bytes or settings.max_output_bytes
    return PlannedScript(
        id=version.script_id,
        version=version.version,
        source=stored.source,
        has_map=ScriptKind.MAP in stored.kinds,
        limits=Limits(
            wall_ms=wall_ms,
            cpu_ms=cpu_ms if cpu_ms < wall_ms else None,
            memory_bytes=min(memory_bytes, settings.max_memory_bytes),
            output_bytes=min(output_bytes, settings.max_output_bytes),
        ),
        context=Context(script=stored.name, version=version.version, labels={"pipe": pipe.name}),
    )


async def _record_schema(conn: Connection, tenant: UUID, definition: PutPipe) -> Version | None:
    """Return the schema of the dataset that a pipe forwards to, if there is one."""
    sink = definition.sink.sink
    if not isinstance(sink, DatasetSink):
        return None
    return await plan_store.select_record_schema(conn, tenant, sink.dataset)


T = TypeVar("T", str, str | Choice)


def _deciding(uris: Sequence[T]) -> tuple[T, ...] | None:
    """Return what decides, each once."""
    return tuple(each for at, each in enumerate(uris) if each not in uris[:at]) or None


def _own(schema_id: UUID | None, version: int | None) -> Version | None:
    return None if schema_id is None or version is None else (schema_id, version)


def _uris_by_values(chosen: ChosenSchema, named: Sequence[ResolvedSchema]) -> dict[str, str]:
    """Return the schemas by each way in which an event's strings can make up their names."""
    uris: dict[str, str] = {}
    for each in named:
        joined = each.name.removeprefix(chosen.prefix)
        dots = [match.start() for match in re.finditer(r"\.", joined)]
        for way, cuts in enumerate(combinations(dots, len(chosen.by) - 1)):
            if way == _MAX_WAYS:
                break
            ends = [*cuts, len(joined)]
            starts = [0, *(cut + 1 for cut in cuts)]
            values = [joined[start:end] for start, end in zip(starts, ends, strict=True)]
            uris["/".join(values)] = each.uri
    return uris
