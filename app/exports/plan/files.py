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
# Of all columns of a row group: DuckDB sets 40 bytes aside for each, before it has seen one.
_ROW_GROUP_VALUES: Final = 17 * ROW_GROUP_ROWS
_MIN_GROUP_ROWS: Final = 2_048
_STORED: Final = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


def stage_options(columns: int) -> str:
    """Return the options of a file between stages."""
    return f"({_STORED}, ROW_GROUP_SIZE {_group_rows(columns)})"


def export_options(stated: str, columns: int, rows: int, *, is_rounded: bool) -> str:
    """Return the options of a file of an export, which has so many columns and rows.

    `stated` is of `stated_metadata`. `is_rounded`: what orders the rows has more than the columns
    keep, which the file says, too. What is written is reported with the statistics of columns.
    """
    group = _group_rows(columns)
    if is_rounded:
        stated += f", {literal(_ROUNDED_KEY)}: 'true'"
    return (
        f"({_STORED}, RETURN_STATS, ROW_GROUP_SIZE {group},"
        f" DICTIONARY_SIZE_LIMIT {min(group, rows)},"
        f" STRING_DICTIONARY_PAGE_SIZE_LIMIT {_DICTIONARY_BYTES},"
        f" KV_METADATA {{{stated}}})"
    )


def stated_metadata(columns: Sequence[Column]) -> str:
    """Return what files say of the columns of an export, also of those of the folders alone."""
    return f"{literal(_COLUMNS_KEY)}: {literal(msgspec.json.encode(columns).decode())}"


def _group_rows(columns: int) -> int:
    return min(ROW_GROUP_ROWS, max(_MIN_GROUP_ROWS, _ROW_GROUP_VALUES // max(columns, 1)))


def columns_of(connection: DuckDBPyConnection, local: str) -> tuple[Column, ...]:
    """Return the columns of the export that a file is of."""
    found = connection.execute(
        f"SELECT value FROM parquet_kv_metadata({literal(local)}) WHERE decode(key) = ?",
        [_COLUMNS_KEY],
    ).fetchone()
    return msgspec.json.decode(found[0], type=tuple[Column, ...]) if found else ()


def rounded_file(connection: DuckDBPyConnection, locals_: Sequence[str]) -> str | None:
    """Return the first of the files that say that they lack a part of what orders rows."""
    files = ", ".join(map(literal, locals_))
    found = connection.execute(
        f"SELECT file_name FROM parquet_kv_metadata([{files}]) WHERE decode(key) = ?"
        " ORDER BY file_name LIMIT 1",
        [_ROUNDED_KEY],
    ).fetchone()
    return None if found is None else str(found[0])


def columns_in(connection: DuckDBPyConnection, source: str) -> dict[str, str]:
    """Return the types of the columns of a source, by their names."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {str(row[0]): str(row[1]) for row in described}


def have_equal_columns(connection: DuckDBPyConnection, locals_: Sequence[str]) -> bool:
    """Return whether files, none of whose columns is nested, have the same names of columns."""
    files = ", ".join(map(literal, locals_))
    found = connection.execute(
        "SELECT min(files) FROM"
        f" (SELECT count(*) AS files FROM parquet_schema([{files}]) GROUP BY name)"
    ).fetchone()
    return found == (len(locals_),)


def read_parquet(locals_: Sequence[str], *, name: str | None = None, are_equal: bool = True) -> str:
    """Return the call that reads files; `name` is the column of their names.

    Without `are_equal`, files may lack columns that others have. DuckDB then keeps what each file
    says of each column, some KiB, and does not count it as its memory: name few at once.
    """
    files = ", ".join(map(literal, locals_))
    options = "" if are_equal else ", union_by_name = true"
    named = f", filename = {literal(name)}" if name else ""
    return f"read_parquet([{files}], hive_partitioning = false{options}{named})"


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
