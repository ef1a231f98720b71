"""Structs of the API's responses about scripts, their versions and checks."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType, field

from crivo.models import (
    Console,
    ExecutionError,
    Limits,
    PayloadRef,
    Response,
    ResultWarning,
    SchemaVersionRef,
)


class LimitChoice(Response, frozen=True, kw_only=True):
    """The limits that a version chooses; None: the installation's default."""

    wall_ms: int | None = None
    max_cpu_ms: int | None = None
    memory_bytes: int | None = None
    max_output_bytes: int | None = None


class Version(Response, frozen=True, kw_only=True):
    """One immutable version of a script.

    `kinds` is what it can be run as: `process`, `map`, `fold`. `io`: `process` gets and returns
    `json` or `bytes`. Both schemas are exact versions, such as `events@3`.
    """

    version: int
    sha256: str
    size_bytes: int
    limits: LimitChoice
    note: str
    kinds: tuple[str, ...] = ("process",)
    io: str = "json"
    input_schema: str | None = None
    output_schema: str | None = None
    created_at: datetime


class Finding(Response, frozen=True, kw_only=True):
    """One error or warning about a source; `line` and `column` count from 1."""

    line: int | None
    column: int | None
    code: str
    message: str
    excerpt: str | None


class Script(Response, frozen=True, kw_only=True):
    """A script and its newest version; `version` is the one that a reference names."""

    id: UUID
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    latest_version: Version
    version: Version | None = None


class CreatedScript(Script, frozen=True, kw_only=True):
    """The script that an upload created or changed, and the warnings about its source."""

    warnings: list[Finding]


class Alias(Response, frozen=True, kw_only=True):
    """A movable name for a version."""

    alias: str
    version: int
    updated_at: datetime


class SampleReceipt(Response, frozen=True, kw_only=True):
    """The inputs, limits and resource usage of a sample's run."""

    source: PayloadRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str
    isolation: str
    limits: Limits
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int
    input_schema: SchemaVersionRef | None = None
    output_schema: SchemaVersionRef | None = None


class Sample(Response, frozen=True, kw_only=True):
    """The outcome of a run that is not stored."""

    status: str
    error: ExecutionError | None = None
    result: Raw | UnsetType = UNSET
    warnings: list[ResultWarning] | None = None
    logs: Console
    receipt: SampleReceipt


class Accepted(Response, frozen=True, kw_only=True):
    """The response to a source without errors; `sample` is the outcome of its sample."""

    accepted: bool = True
    warnings: list[Finding] = field(default_factory=list)
    sample: Sample | None = None


class Pushed(Struct, frozen=True, kw_only=True):
    """A pushed script; `is_new` is false if its newest version had this very source."""

    script: CreatedScript
    is_new: bool

    @property
    def version(self) -> int:
        """The number of the version that has the pushed source."""
        return self.script.latest_version.version

    @property
    def reference(self) -> str:
        """Script and version in one text, such as `cards@3`."""
        return f"{self.script.name}@{self.version}"

    @property
    def warnings(self) -> list[Finding]:
        """The findings that do not prevent an upload."""
        return self.script.warnings
