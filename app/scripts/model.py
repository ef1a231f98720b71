"""Define scripts, versions and aliases, and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.execution_errors import WrittenError
from app.limits import LimitChoice, Limits, Seed
from app.losses import WrittenWarnings
from app.payloads.model import PayloadRef
from app.references import Description, Name, Note
from app.sandbox.outcomes import Finding, Io, ScriptKind
from app.sandbox.protocol import Isolation
from app.schemas.pinned import SchemaReference, SchemaVersionRef


class CreateScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts`: a new script and its version 1.

    `input_schema` and `output_schema` name schemas, such as `events@3`; a name alone or an alias
    is resolved now.
    """

    name: Name
    source: str
    description: Description = ""
    note: Note = ""
    io: Io = Io.JSON
    input_schema: SchemaReference | None = None
    output_schema: SchemaReference | None = None
    limits: LimitChoice = LimitChoice()


class AddVersion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts/{script}/versions` and of `PUT /scripts/{script}`."""

    source: str
    note: Note = ""
    io: Io = Io.JSON
    input_schema: SchemaReference | None = None
    output_schema: SchemaReference | None = None
    limits: LimitChoice = LimitChoice()


class CheckScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts/check`; `sample` is any JSON to run the script on.

    With `io` `bytes` it is a string that has the bytes in base64, and so has the result. The run
    gets these `params`, and no name, version or labels.
    """

    source: str
    note: Note = ""
    io: Io = Io.JSON
    input_schema: SchemaReference | None = None
    output_schema: SchemaReference | None = None
    limits: LimitChoice = LimitChoice()
    sample: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    seed: Seed | None = None


class DescribeScript(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /scripts/{script}`; omitted members stay unchanged."""

    description: Description | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class MoveAlias(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /scripts/{script}/aliases/{alias}`.

    With a `comparison` the alias moves only if that comparison, of the version that the alias
    names with this one, is finished and clean. `accept` moves it although results differ.
    """

    version: Annotated[int, Meta(ge=1, le=999_999_999)]
    comparison: UUID | UnsetType = UNSET
    accept: Literal["differences"] | UnsetType = UNSET


class Version(Struct, frozen=True, kw_only=True):
    """One immutable version; its source has a URL of its own.

    `kinds` is what it can be run as: `process` by executions, `map` and `fold` by runs, whose parts
    are folded in any order if there is a `merge`. `io`: `process` gets and returns JSON or bytes.
    What `process` and `map` get satisfies `input_schema`, what they return `output_schema`; both
    are exact versions, such as `events@3`, or null.
    """

    version: int
    sha256: str
    size_bytes: int
    limits: LimitChoice
    note: str
    kinds: tuple[ScriptKind, ...]
    io: Io
    input_schema: str | None
    output_schema: str | None
    created_at: datetime


class Script(Struct, frozen=True, kw_only=True):
    """A script and its newest version; `version` is the one that a reference names."""

    id: UUID
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    latest_version: Version
    version: Version | UnsetType = UNSET


class ComparisonVerdict(Struct, frozen=True, kw_only=True):
    """What a comparison of two versions says about a promotion."""

    from_version: int
    to_version: int
    finished: bool
    clean: bool


class CreatedScript(Script, frozen=True, kw_only=True):
    """The script that an upload created or changed, and the warnings about its source."""

    warnings: tuple[Finding, ...]


class AddedVersion(Version, frozen=True, kw_only=True):
    """The version that an upload added, and the warnings about its source."""

    warnings: tuple[Finding, ...]


class SampleReceipt(Struct, frozen=True, kw_only=True):
    """The inputs, limits and resource usage of a sample's run; it is not stored."""

    source: PayloadRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str
    isolation: Isolation
    limits: Limits
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int
    input_schema: SchemaVersionRef | UnsetType = UNSET
    output_schema: SchemaVersionRef | UnsetType = UNSET


class Sample(Struct, frozen=True, kw_only=True):
    """The outcome of a sample's run, shaped like an execution."""

    status: Literal["succeeded", "failed"]
    error: WrittenError | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    warnings: WrittenWarnings | UnsetType = UNSET
    logs: Raw
    receipt: SampleReceipt


class Accepted(Struct, frozen=True, kw_only=True):
    """Response of `POST /scripts/check` to a source without errors."""

    accepted: bool = True
    warnings: tuple[Finding, ...] = ()
    sample: Sample | UnsetType = UNSET


class ResolvedVersion(Struct, frozen=True, kw_only=True):
    """The version that a reference named when it was resolved."""

    script_id: UUID
    version: int
    archived_at: datetime | None
    io: Io = Io.JSON
    has_process: bool = True
