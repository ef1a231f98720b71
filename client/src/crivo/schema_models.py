"""Structs of the API's responses about schemas, their versions and validations."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from crivo.models import Response, SchemaError


class VerdictReason(Response, frozen=True, kw_only=True):
    """Why a version is not compatible, or why that cannot be decided."""

    direction: str
    pointer: str
    message: str


class SchemaVerdict(Response, frozen=True, kw_only=True):
    """How a version relates to another, `against`: None where the rules cannot decide it.

    `backward`: what is valid under the other is valid under this one; `forward`: vice versa.
    """

    against: int
    backward: bool | None
    forward: bool | None
    reasons: list[VerdictReason]


class SchemaVersion(Response, frozen=True, kw_only=True):
    """One immutable version of a schema."""

    version: int
    uri: str
    sha256: str
    size_bytes: int
    strict: bool
    note: str
    references: list[str]
    verdict: SchemaVerdict | None
    created_at: datetime


class Schema(Response, frozen=True, kw_only=True):
    """A schema and its newest version; `version` is the one that a reference names."""

    id: UUID
    name: str
    description: str
    compatibility: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    latest_version: SchemaVersion
    version: SchemaVersion | None = None


class CheckedSchema(Response, frozen=True, kw_only=True):
    """A schema without errors; not `accepted` if the other one's schema demands more."""

    accepted: bool
    references: list[str]
    verdict: SchemaVerdict | None


class Validated(Response, frozen=True, kw_only=True):
    """Whether a document is valid, or a line, which has its number."""

    valid: bool
    line: int | None = None
    errors: list[SchemaError] = field(default_factory=list)
    errors_omitted: int = 0


class ValidatedLines(Response, frozen=True, kw_only=True):
    """How many lines were validated."""

    lines: int
    valid: int
    invalid: int


class PushedSchema(Struct, frozen=True, kw_only=True):
    """A pushed schema; `is_new` is false if its newest version had this very document."""

    schema: Schema
    is_new: bool

    @property
    def version(self) -> SchemaVersion:
        """The version that has the pushed document."""
        return self.schema.latest_version

    @property
    def reference(self) -> str:
        """Schema and version in one text, such as `events@3`."""
        return f"{self.schema.name}@{self.version.version}"
