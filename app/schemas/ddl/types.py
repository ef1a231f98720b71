"""Types of columns, independent of a dialect."""

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct


class NoType(Exception):
    """A schema, or a part of it, has no table type.

    Attributes:
        pointer: the place in the schema, after ``URI#`` in another document than the root's.
        message: why not, without the pointer.
        remedy: what another choice of options would change; may be empty.
    """

    def __init__(self, pointer: str, message: str, *, remedy: str = "") -> None:
        """Keep all parts; the text of the exception begins with the pointer."""
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer
        self.message = message
        self.remedy = remedy


class Kind(StrEnum):
    """Kinds of scalar types."""

    BOOLEAN = "boolean"
    TINYINT = "tinyint"
    SMALLINT = "smallint"
    INT = "int"
    BIGINT = "bigint"
    FLOAT = "float"
    DOUBLE = "double"
    DECIMAL = "decimal"
    STRING = "string"
    VARCHAR = "varchar"
    CHAR = "char"
    DATE = "date"
    TIMESTAMP = "timestamp"
    UUID = "uuid"


class Scalar(Struct, frozen=True, tag="scalar"):
    """A type without inner types."""

    kind: Kind
    size: tuple[int, ...] = ()
    """Precision and scale of a decimal; the length of a text in characters."""
    note: str = ""
    """What a column of this type does not keep."""


class ListOf(Struct, frozen=True, tag="list"):
    """An array."""

    item: "Type"


class MapOf(Struct, frozen=True, tag="map"):
    """An object whose names are data."""

    value: "Type"


class Field(Struct, frozen=True):
    """A column, or a member of a struct."""

    name: str
    type: "Type"
    pointer: str
    """The place of its schema."""
    nullable: bool = True
    """Whether it may be null or missing."""


class StructOf(Struct, frozen=True, tag="struct"):
    """An object with members that are known."""

    fields: tuple[Field, ...]
    note: str = ""


Type: TypeAlias = Scalar | ListOf | MapOf | StructOf

INTEGERS: Final = (
    (Kind.TINYINT, 2**7),
    (Kind.SMALLINT, 2**15),
    (Kind.INT, 2**31),
    (Kind.BIGINT, 2**63),
)
MAX_PRECISION: Final = 38
MAX_VARCHAR: Final = 65_535
MAX_CHAR: Final = 255
