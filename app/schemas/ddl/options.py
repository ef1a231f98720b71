"""Check what a caller chooses of a table: dialect, format, name, location and partition."""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.schemas.ddl.types import Kind, Scalar

MAX_NAME: Final = {"athena": 255, "hive": 128, "duckdb": 255, "postgresql": 63}
"""Bytes of a name."""
MAX_LOCATION: Final = 1000
MAX_PARTITIONS: Final = 16

_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+")
# No quote, backslash, semicolon, white space or control character: no reader ends a text there.
_LOCATION: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,=%{}-]+")


class Dialect(StrEnum):
    """Whose SQL it is."""

    ATHENA = "athena"
    HIVE = "hive"
    DUCKDB = "duckdb"
    POSTGRESQL = "postgresql"


class TableFormat(StrEnum):
    """What the files are; PostgreSQL has its own."""

    PARQUET = "parquet"
    JSON = "json"
    """NDJSON: one document a line."""


class BadOption(Exception):
    """A table cannot have this name, location or partition.

    Attributes:
        option: the option's name.
        message: why not.
    """

    def __init__(self, option: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(f"{option}: {message}")
        self.option = option
        self.message = message


class Partition(Struct, frozen=True):
    """A column whose values are in the paths of the files."""

    name: str
    type: Scalar


class Options(Struct, frozen=True, kw_only=True):
    """Checked options of one statement."""

    dialect: Dialect
    format: TableFormat
    name: tuple[str, ...]
    """Table, or database and table."""
    location: str | None
    partitions: tuple[Partition, ...]
    source: str
    """The URI of the schema."""


_TYPES: Final = (
    Kind.STRING,
    Kind.INT,
    Kind.BIGINT,
    Kind.SMALLINT,
    Kind.TINYINT,
    Kind.DATE,
    Kind.TIMESTAMP,
    Kind.BOOLEAN,
)


def read_options(
    *,
    dialect: str,
    format: str,  # noqa: A002 - the word of the API
    name: str,
    location: str | None,
    partition: Sequence[str],
    source: str,
) -> Options:
    """Check options and return them.

    ``name`` is ``table`` or ``database.table``; ``partition`` holds ``column:type``.

    Raises:
        BadOption: an option is unknown, or a name could not be written safely in this dialect.
    """
    chosen = Dialect(_one_of("dialect", dialect, Dialect))
    return Options(
        dialect=chosen,
        format=TableFormat(_one_of("format", format, TableFormat)),
        name=_name(name, chosen),
        location=_location(location, chosen),
        partitions=_partitions(partition, chosen),
        source=source,
    )


def _one_of(option: str, value: str, known: Iterable[str]) -> str:
    if value not in set(known):
        raise BadOption(option, f"is one of {', '.join(known)}")
    return value


def is_hive(dialect: Dialect) -> bool:
    """Say whether names are of Hive: lower case letters, digits and underscores."""
    return dialect in {Dialect.ATHENA, Dialect.HIVE}


def _name(name: str, dialect: Dialect) -> tuple[str, ...]:
    parts = name.split(".")
    if len(parts) > 2:  # noqa: PLR2004 - database and table
        raise BadOption("name", "is a table, or a database and a table with one dot between them")
    return tuple(_identifier("name", part, dialect) for part in parts)


def _identifier(option: str, name: str, dialect: Dialect) -> str:
    most = MAX_NAME[dialect]
    if not 0 < len(name.encode(errors="replace")) <= most:
        raise BadOption(option, f"a name has 1 to {most} bytes")
    if is_hive(dialect):
        if not _PLAIN.fullmatch(name):
            raise BadOption(option, "a name is made of letters, digits and underscores")
        return name.lower()
    if not name.isprintable():
        raise BadOption(option, "a name has no control characters")
    return name


def _location(location: str | None, dialect: Dialect) -> str | None:
    if dialect is Dialect.POSTGRESQL:
        if location is not None:
            raise BadOption("location", "PostgreSQL keeps its tables itself")
        return None
    if location is None:
        if dialect is Dialect.ATHENA:
            raise BadOption("location", "Athena needs the place of the files, as s3://bucket/path/")
        return None
    if dialect is Dialect.DUCKDB:
        # A path of its own machine, in quotes.
        if len(location) > MAX_LOCATION or not location.isprintable():
            message = f"is at most {MAX_LOCATION} characters, none of them a control character"
            raise BadOption("location", message)
        return location
    if len(location) > MAX_LOCATION or not _LOCATION.fullmatch(location):
        message = f"is a URL of at most {MAX_LOCATION} characters without quotes, spaces or `;`"
        raise BadOption("location", message)
    if dialect is Dialect.ATHENA and not re.match(r"s3://[^/]+", location):
        raise BadOption("location", "Athena reads s3://bucket/path/")
    if is_hive(dialect) and not location.endswith("/"):
        return f"{location}/"
    return location


def _partitions(texts: Sequence[str], dialect: Dialect) -> tuple[Partition, ...]:
    if len(texts) > MAX_PARTITIONS:
        raise BadOption("partition", f"there are at most {MAX_PARTITIONS}")
    found: dict[str, Partition] = {}
    for text in texts:
        name, colon, kind = text.rpartition(":")
        if not colon or kind not in set(_TYPES):
            raise BadOption("partition", f"is column:type; types are {', '.join(_TYPES)}")
        name = _identifier("partition", name, dialect)
        if folded(name, dialect) in found:
            raise BadOption("partition", "names a column twice")
        found[folded(name, dialect)] = Partition(name, Scalar(Kind(kind)))
    return tuple(found.values())


def folded(name: str, dialect: Dialect) -> str:
    """Return what names that are one to the dialect share: only PostgreSQL minds the case."""
    return name if dialect is Dialect.POSTGRESQL else name.lower()
