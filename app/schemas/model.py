"""Define schemas and their versions, and the bodies of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.references import Description, Note
from app.sandbox.schema_checks import SchemaError
from app.schema_bundles import uri_of
from app.schemas.pinned import SchemaReference


class Compatibility(StrEnum):
    """What a new version must be to the one before."""

    NONE = "none"
    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"


class PutSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /schemas/{schema}`: the next version, and what else is to be set.

    `schema` is kept byte for byte. A `strict` schema refuses fields that it does not register.
    Omitted members of the schema itself stay as they are, or get their defaults.
    """

    schema: Raw
    strict: bool = True
    note: Note = ""
    description: Description | UnsetType = UNSET
    compatibility: Compatibility | UnsetType = UNSET


class CheckSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /schemas/check`; `against` refers to a version that it is compared with."""

    schema: Raw
    strict: bool = True
    against: SchemaReference | UnsetType = UNSET


class DescribeSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /schemas/{schema}`; omitted members stay unchanged."""

    description: Description | UnsetType = UNSET
    compatibility: Compatibility | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class MoveSchemaAlias(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /schemas/{schema}/aliases/{alias}`."""

    version: Annotated[int, Meta(ge=1, le=999_999_999)]


class VerdictReason(Struct, frozen=True, kw_only=True):
    """Why a version is not compatible, or why the rules cannot decide it.

    `pointer` is the place in the new version, or in the old one what the new one no longer has.
    """

    direction: Literal["backward", "forward"]
    pointer: str
    message: str


class SchemaVerdict(Struct, frozen=True, kw_only=True):
    """How a version relates to the one before, `against`.

    `backward`: what is valid under the old version is valid under the new one; `forward`: the
    other way round; null: the rules cannot decide it.
    """

    against: int
    backward: bool | None
    forward: bool | None
    reasons: tuple[VerdictReason, ...]


class SchemaVersion(Struct, frozen=True, kw_only=True):
    """One immutable version; its document has a URL of its own.

    `references` are the versions that it refers to itself. `verdict` is null for the first version.
    """

    version: int
    uri: str
    sha256: str
    size_bytes: int
    strict: bool
    note: str
    references: tuple[str, ...]
    verdict: SchemaVerdict | None
    created_at: datetime


class Schema(Struct, frozen=True, kw_only=True):
    """A schema and its newest version; `version` is the one that a reference names."""

    id: UUID
    name: str
    description: str
    compatibility: Compatibility
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    latest_version: SchemaVersion
    version: SchemaVersion | UnsetType = UNSET


class CheckedSchema(Struct, frozen=True, kw_only=True):
    """Response of `POST /schemas/check` to a schema without errors.

    `verdict` compares it with the version `against`, null without one; `accepted` is false if the
    schema of that version demands more.
    """

    accepted: bool = True
    references: tuple[str, ...] = ()
    verdict: SchemaVerdict | None = None


class ValidatedDocument(Struct, frozen=True, kw_only=True):
    """Response of a validation; `errors_omitted` counts those that were too long together."""

    valid: bool
    errors: tuple[SchemaError, ...] | UnsetType = UNSET
    errors_omitted: int | UnsetType = UNSET


class ResolvedSchema(Struct, frozen=True, kw_only=True):
    """The version that a reference named when it was resolved."""

    schema_id: UUID
    name: str
    version: int

    @property
    def ref(self) -> str:
        """The reference to exactly this version, such as `events@3`."""
        return f"{self.name}@{self.version}"

    @property
    def uri(self) -> str:
        """The URI by which other schemas refer to this version."""
        return uri_of(self.name, self.version)
