"""Read the lines that are not certain, one by one, into a table."""

from collections.abc import Iterator, Sequence
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec
from duckdb import DuckDBPyConnection

from app.exports.plan.exact import BadLine, ExactReader
from app.exports.plan.layout import Layout
from app.exports.plan.model import BadRow, ExportColumn, OnBadRow, Plan, SourceFile, TaskFailed
from app.exports.plan.places import places_of
from app.limits import EXCERPT_BYTES, KIB, MAX_EXPORT_EXCERPTS_BYTES, MIB
from app.schemas.ddl.duckdb import literal

# Lines may be long.
_BATCH: Final = 100
# Names of members below the pointer of a column may be long; shorter once they have taken much.
_POINTER_CHARACTERS: Final = 1_000
_SHORT_CHARACTERS: Final = 100
_WRITE_BYTES: Final = 1 * MIB
_ROW_MARGIN_BYTES: Final = 4 * KIB


class Rest(msgspec.Struct, frozen=True):
    """The columns, those found in these lines included, and the bad rows."""

    columns: tuple[ExportColumn, ...]
    bad: tuple[BadRow, ...]


class _Bad(msgspec.Struct, frozen=True):
    ordinal: int
    kind: str
    pointer: str
    message: str


def read_rest(
    connection: DuckDBPyConnection,
    sources: Sequence[SourceFile],
    layout: Layout,
    plan: Plan,
    spill: Path,
) -> Rest:
    """Make the table `exact` of the lines of `staged` that are not certain.

    Raises TaskFailed for bad rows, as the plan wants.
    """
    reader = ExactReader(layout)
    bad: list[_Bad] = []
    file = spill / "exact.jsonl"
    longest = _write(file, reader, _lines(connection, sources), bad, plan)
    types = {
        "o": "BIGINT",
        "k": "VARCHAR[]",
        "r": "TINYINT",
        "j": "HUGEINT",
        "n": "VARCHAR",
        "p": "VARCHAR[]",
        "c": "VARCHAR[]",
    }
    columns = ", ".join(f"{name}: {literal(of)}" for name, of in types.items())
    connection.execute(
        f"CREATE TABLE exact AS SELECT * FROM read_json({literal(str(file))},"
        f" format = 'newline_delimited', columns = {{{columns}}},"
        f" maximum_object_size = {longest + _ROW_MARGIN_BYTES})"
    )
    file.unlink()
    return Rest(reader.columns, tuple(_placed(sources, bad, plan)))


def _write(
    file: Path,
    reader: ExactReader,
    lines: Iterator[tuple[int, bytes]],
    bad: list[_Bad],
    plan: Plan,
) -> int:
    """Write the rows as JSON, and return the size of the longest."""
    longest = _WRITE_BYTES
    pointers_bytes = 0
    encoder = msgspec.json.Encoder()
    with file.open("wb", buffering=_WRITE_BYTES) as rows:
        for ordinal, line in lines:
            try:
                row = encoder.encode(reader.read(ordinal, line))
            except BadLine as reason:
                is_full = pointers_bytes > MAX_EXPORT_EXCERPTS_BYTES
                most = _SHORT_CHARACTERS if is_full else _POINTER_CHARACTERS
                pointer = _clipped(reason.pointer, most)
                pointers_bytes += len(pointer.encode())
                bad.append(_Bad(ordinal, reason.kind, pointer, reason.message))
                if len(bad) > _most(plan):
                    break
                continue
            longest = max(longest, len(row))
            rows.write(row + b"\n")
    return longest


def _clipped(pointer: str, most: int) -> str:
    return pointer if len(pointer) <= most else f"{pointer[:most]}…"


def _most(plan: Plan) -> int:
    return plan.max_bad_rows if plan.on_bad_row is OnBadRow.DEAD_LETTER else 0


def _lines(
    connection: DuckDBPyConnection, sources: Sequence[SourceFile]
) -> Iterator[tuple[int, bytes]]:
    """Return the lines in their order, also those that DuckDB cannot parse."""
    places = places_of(sources, _unread(connection.cursor()))
    others = ((place.ordinal, place.record) for place in places)
    return merge(_kept_lines(connection), others, key=itemgetter(0))


def _unread(connection: DuckDBPyConnection) -> Iterator[int]:
    query = connection.execute("SELECT rowid FROM staged WHERE NOT certain AND line IS NULL")
    while batch := query.fetchmany(_BATCH):
        for (ordinal,) in batch:
            yield ordinal


def _kept_lines(connection: DuckDBPyConnection) -> Iterator[tuple[int, bytes]]:
    query = connection.execute(
        "SELECT rowid, line FROM staged WHERE NOT certain AND line IS NOT NULL"
    )
    while batch := query.fetchmany(_BATCH):
        for ordinal, line in batch:
            yield ordinal, line.encode()


def _placed(sources: Sequence[SourceFile], bad: list[_Bad], plan: Plan) -> Iterator[BadRow]:
    taken = 0
    places = places_of(sources, [each.ordinal for each in bad])
    for each, place in zip(bad, places, strict=True):
        row = BadRow(
            path=place.path,
            line=place.line,
            kind=each.kind,
            pointer=each.pointer,
            message=each.message,
            record=place.record[:EXCERPT_BYTES] if taken < MAX_EXPORT_EXCERPTS_BYTES else b"",
        )
        taken += len(row.record)
        if len(bad) > _most(plan):
            raise _refusal(row, plan)
        yield row


def _refusal(row: BadRow, plan: Plan) -> TaskFailed:
    number, place = "line", f"line {row.line}"
    if plan.of_script:
        number, place = "record", f"record {row.line} of what the script returned"
    where = f"{row.path}, {place}, {row.pointer or 'the record'}: {row.message}"
    details: dict[str, object] = {
        "path": row.path,
        number: row.line,
        "pointer": row.pointer,
        "reason": row.kind,
    }
    if plan.on_bad_row is OnBadRow.FAIL:
        return TaskFailed("bad_row", where, details)
    message = f"more than {plan.max_bad_rows} bad rows; the first is {where}"
    return TaskFailed("too_many_bad_rows", message, details)
