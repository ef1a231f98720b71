"""Read the exact versions of schemas that rows of other tables name."""

from typing import Annotated, Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

# Longer than any valid one, so the parser names the fault.
SchemaReference = Annotated[str, Meta(max_length=200)]


class Row(Protocol):
    """A row of a query, or what was made of one."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - as the database has it
        """Return a column's value."""


class SchemaKey(NamedTuple):
    """One immutable version of a schema."""

    schema_id: UUID
    version: int


class SchemaVersionRef(Struct, frozen=True, kw_only=True):
    """The version of a schema that something was checked against; `sha256` is of its document."""

    id: UUID
    name: str
    version: int
    sha256: str


def ref_column(owner: str, side: str, *, tenant_of: str | None = None) -> str:
    """Return SQL for the reference that a row names, such as `events@3`, or NULL.

    `owner` is the row's alias, `side` the beginning of its columns' names, `tenant_of` the alias of
    the table whose tenant it is, by default the row's own.
    """
    return f"""(
        SELECT x.name || '@' || {owner}.{side}_schema_version
        FROM schemas AS x
        WHERE x.tenant_id = {tenant_of or owner}.tenant_id AND x.id = {owner}.{side}_schema_id
    )"""  # noqa: S608 - put together from constants


def version_column(owner: str, side: str) -> str:
    """Return SQL for the version that a row names, as `version_of` reads it, or NULL."""
    return f"""(
        SELECT to_jsonb(named)
        FROM (
            SELECT x.id, x.name, y.version, encode(y.sha256, 'hex') AS sha256
            FROM schemas AS x
            JOIN schema_versions AS y ON y.tenant_id = x.tenant_id AND y.schema_id = x.id
            WHERE x.tenant_id = {owner}.tenant_id AND x.id = {owner}.{side}_schema_id
              AND y.version = {owner}.{side}_schema_version
        ) AS named
    )"""  # noqa: S608 - put together from constants


def version_of(row: Row, column: str) -> SchemaVersionRef | UnsetType:
    """Return what `version_column` has read; UNSET: the row names none."""
    value = row[column]
    return UNSET if value is None else msgspec.convert(value, SchemaVersionRef)


def key_of(row: Row, side: str) -> SchemaKey | None:
    """Return the version that the columns `<side>_schema_id` and `…_version` name, if any."""
    if row[f"{side}_schema_id"] is None:
        return None
    return SchemaKey(row[f"{side}_schema_id"], row[f"{side}_schema_version"])


def columns_of(key: SchemaKey | None, side: str) -> dict[str, UUID | int | None]:
    """Return the values of the columns that `key_of` reads."""
    schema_id, version = (None, None) if key is None else key
    return {f"{side}_schema_id": schema_id, f"{side}_schema_version": version}
