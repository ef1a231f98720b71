"""Write and read the Parquet files of exports."""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Final

import msgspec
from duckdb import DuckDBPyConnection

from app.exports.plan.model import Column, WrittenFile
from app.schemas.ddl.duckdb import literal

ROW_GROUP_ROWS: Final = 122_880
_COLUMNS_KEY: Final = "crivo.columns"
_ROUNDED_KEY: Final = "crivo.rounded_order"
# DuckDB writes bloom filters for columns with a dictionary, so a dictionary may have a row group.
_DICTIONARY_BYTES: Final = 64 * 1024 * 1024
_STORED: Final = (
    f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS}"
)


def stage_options() -> str:
    """Return the options of a file between stages."""
    return f"({_STORED})"


def export_options(columns: Sequence[Column], *, has_order: bool) -> str:
    """Return the options of a file of an export.

    It states the columns of the export, also those that only the folders have, and whether they
    have all that orders its rows.
    """
    stated = {_COLUMNS_KEY: msgspec.json.encode(columns).decode()}
    if not has_order:
        stated[_ROUNDED_KEY] = "true"
    metadata = ", ".join(f"{literal(key)}: {literal(value)}" for key, value in stated.items())
    return (
        f"({_STORED}, DICTIONARY_SIZE_LIMIT {ROW_GROUP_ROWS},"
        f" STRING_DICTIONARY_PAGE_SIZE_LIMIT {_DICTIONARY_BYTES},"
        f" KV_METADATA {{{metadata}}})"
    )


def columns_of(connection: DuckDBPyConnection, local: str) -> tuple[Column, ...]:
    """Return the columns of the export that a file is of."""
    found = connection.execute(
        f"SELECT value FROM parquet_kv_metadata({literal(local)}) WHERE decode(key) = ?",
        [_COLUMNS_KEY],
    ).fetchone()
    return msgspec.json.decode(found[0], type=tuple[Column, ...]) if found else ()


def have_rounded_order(connection: DuckDBPyConnection, locals_: Sequence[str]) -> bool:
    """Return whether one of the files lacks a part of what orders its rows."""
    files = ", ".join(map(literal, locals_))
    found = connection.execute(
        f"SELECT 1 FROM parquet_kv_metadata([{files}]) WHERE decode(key) = ? LIMIT 1",
        [_ROUNDED_KEY],
    ).fetchone()
    return found is not None


def names_in(connection: DuckDBPyConnection, source: str) -> list[str]:
    """Return the names of the columns of a source."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return [str(row[0]) for row in described]


def read_parquet(locals_: Sequence[str], *, name: str | None = None) -> str:
    """Return the call that reads files; `name` is the column of their names."""
    files = ", ".join(map(literal, locals_))
    named = f", filename = {literal(name)}" if name else ""
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false{named})"


def written(
    path: Path,
    name: str,
    rows: int,
    *,
    bucket: int | None = None,
    partition: Sequence[str | None] = (),
) -> WrittenFile:
    """Describe a file that is complete."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").digest()
    return WrittenFile(
        name=name,
        rows=rows,
        size_bytes=path.stat().st_size,
        sha256=digest,
        bucket=bucket,
        partition=partition,
    )
