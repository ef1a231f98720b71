"""Write SQL that reads files of lines, with types that lose nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection

from crivo.errors import InvalidSource
from crivo.queries.interruptions import interruptible

# Nothing splits a line of text.
_NO_DELIMITER: Final = "'\\x01'"
# Else 01-02-2021 would be a date, by a guess which number is the month.
_ISO_DATES: Final = "dateformat = 'iso'"


def reader_of(
    format_: str, files: Sequence[Path], *, columns: Mapping[str, str] | None = None
) -> str:
    """Return the function that reads files of a dataset's format. Raises InvalidSource.

    Types are those of all lines, not of the first.
    """
    match format_:
        case "jsonl" if columns is not None:
            typed = ", ".join(f"{as_identifier(k)}: {as_text(v)}" for k, v in columns.items())
            return f"read_ndjson({as_list(files)}, columns = {{{typed}}}, {_ISO_DATES})"
        case "jsonl":
            all_lines = f"sample_size = -1, maximum_sample_files = {len(files)}"
            return f"read_ndjson({as_list(files)}, {all_lines}, {_ISO_DATES})"
        case "csv":
            return f"read_csv({as_list(files)}, sample_size = -1)"
        case "text":
            return (
                f"read_csv({as_list(files)}, columns = {{line: 'VARCHAR'}}, auto_detect = false, "
                f"delim = {_NO_DELIMITER}, quote = '', escape = '', header = false)"
            )
        case _:
            raise InvalidSource(f"a dataset of {format_} has no lines that SQL could read")


def write_parquet(database: DuckDBPyConnection, source: str, target: Path) -> None:
    """Copy what a function reads to a Parquet file, in its order."""
    copy = f"COPY (FROM {source}) TO {as_text(str(target))} (FORMAT parquet, COMPRESSION zstd)"
    interruptible(database, lambda: database.execute(copy))


def column_types(database: DuckDBPyConnection, written: Path) -> dict[str, str]:
    """Return the types of a Parquet file's columns, by name."""
    rows = database.execute(f"DESCRIBE FROM read_parquet({as_list([written])})").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def exact_columns(
    database: DuckDBPyConnection, files: Sequence[Path], types: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the types for columns of JSON where a double has taken whole numbers.

    They become the text of their JSON, which keeps all digits. None: there are none.
    """
    inexact = [
        name
        for name, type_ in types.items()
        if "DOUBLE" in type_ and _has_larger_integers(database, files, name)
    ]
    return {**types} | dict.fromkeys(inexact, "JSON") if inexact else None


def as_identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def as_text(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def as_list(files: Sequence[Path]) -> str:
    """Write the paths of files as a list in SQL."""
    return "[" + ", ".join(as_text(str(each)) for each in files) + "]"


def _has_larger_integers(database: DuckDBPyConnection, files: Sequence[Path], column: str) -> bool:
    """Whether a column of JSON has integers beyond 64 bits, which are read as doubles."""
    source = reader_of("jsonl", files, columns={column: "JSON"})
    larger = database.execute(
        f"FROM {source} AS s, json_tree(s.{as_identifier(column)}) AS t "
        "WHERE t.type = 'DOUBLE' AND regexp_full_match(t.atom::VARCHAR, '-?[0-9]+') LIMIT 1"
    ).fetchone()
    return larger is not None
