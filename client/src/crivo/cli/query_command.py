"""`crivo query`: SQL over datasets and exports, on this machine."""

import json
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from crivo.cli.arguments import Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import Output, say, write_bytes
from crivo.cli.progress import transferring
from crivo.saving import replacing

# More are for a file.
_MAX_ROWS_OF_A_TERMINAL: Final = 1_000
_CHUNK_BYTES: Final = 1 << 20
_FORMATS: Final[dict[str, Literal["csv", "json", "parquet"]]] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}


def query(
    sql: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    format_: Annotated[
        Literal["table", "csv", "json", "parquet"] | None, Parameter(name="--format")
    ] = None,
    out: Path | None = None,
    service: Service | None = None,
) -> None:
    """Run a read-only SQL statement of DuckDB over datasets and exports, on this machine.

    Tables are datasets, such as `events` (its newest snapshot) or `events@4`, and exports, as
    `"export/<id>"`. Other names need quotes as in SQL: `"my-events"`. Times are in UTC.

    What is read is downloaded once, into ~/.cache/crivo/query. Needs the extra `query` of the
    package.

    Parameters
    ----------
    sql
        SELECT, WITH, DESCRIBE, SUMMARIZE or EXPLAIN; `-` is standard input.
    format_
        What is written: a table, CSV, JSON with a document a line, or Parquet, which needs --out.
        By default a table, which in a pipe is lines of values between tabs, without the columns'
        names; csv and json have them.
    out
        The file to write instead of standard output. Without --format, its name says which:
        .csv, .json, .jsonl, .ndjson or .parquet.
    """
    service = service or Service()
    chosen = format_ or _format_of(out) or ("json" if service.as_json else "table")
    if chosen == "parquet" and out is None:
        raise UsageError("--format parquet: is no text for standard output; name a file by --out")
    if chosen == "table" and out is not None:
        raise UsageError("--out: also takes --format csv, json or parquet, or a name that ends so")
    if out is not None and not out.absolute().parent.is_dir():
        raise UsageError(f"--out: there is no directory {out.parent}")
    try:
        # DuckDB is an extra.
        from crivo.queries.cache import cache_folder, scratch  # noqa: PLC0415
        from crivo.queries.query import Query  # noqa: PLC0415
        from crivo.queries.tables import Tables  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"there is no {error.name}; pip install 'crivo[query]'") from None
    text = sys.stdin.read() if sql == "-" else sql
    cache = cache_folder()
    with scratch(cache) as folder, Query(text, folder=folder) as asked:
        with service.client() as client, transferring("downloading") as show:
            warnings: list[str] = []
            asked.prepare(Tables(client, cache, show, warnings.append))
        if not service.as_json:
            for each in warnings:
                say(f"crivo: {each}")
        if chosen == "table":
            _print_table(*asked.rows())
            return
        with asked.written(chosen).open("rb") as result:
            chunks = iter(lambda: result.read(_CHUNK_BYTES), b"")
            if out is None:
                write_bytes(chunks)
                return
            with replacing(out) as file:
                for chunk in chunks:
                    file.write(chunk)


def _format_of(out: Path | None) -> Literal["csv", "json", "parquet"] | None:
    """Return the format that a file's name says."""
    return None if out is None else _FORMATS.get(out.suffix.lower())


def _print_table(columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    """Print a table on a terminal, else lines of tab-separated values."""
    is_read = sys.stdout.isatty()
    shown = islice(rows, _MAX_ROWS_OF_A_TERMINAL) if is_read else rows
    Output().rows(columns, ((row, [*map(_cell, row)]) for row in shown))
    if is_read and next(rows, None) is not None:
        say(
            f"crivo: these are the first {_MAX_ROWS_OF_A_TERMINAL:,} rows; --format csv, json or "
            "parquet writes all"
        )


def _cell(value: object) -> str | None:
    """Write a value exactly: a number with all its digits, a structure as JSON."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=_cell)
        case Decimal():
            return f"{value:f}"
        case bytes():
            return value.hex()
        case _:
            return str(value)
