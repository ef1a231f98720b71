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
from app.limits import EXCERPT_BYTES, KIB, MAX_EXPORT_BAD_ROWS_BYTES, MIB
from app.schemas.ddl.duckdb import literal

# Lines may be long.
_BATCH: Final = 100
# Names of members below the pointer of a column may be long.
_POINTER_CHARACTERS: Final = 1_000
# Records are reported until they and the rest have taken half of what bad rows may take.
_RECORDS_SHARE: Final = 2
# Of a bad row: numbers, names of members, and what an object takes.
_BAD_ROW_BYTES: Final = 100
_WRITE_BYTES: Final = 1 * MIB
_ROW_MARGIN_BYTES: Final = 4 * KIB


class Rest(msgspec.Struct, frozen=True):
    """The columns, those found in these lines included, and the bad rows.

    They are reported up to a sum of bytes; `bad_rows` counts them all.
    """

    columns: tuple[ExportColumn, ...]
    bad: tuple[BadRow, ...]
    bad_rows: int


class _Bad(msgspec.Struct, frozen=True):
    ordinal: int
    kind: str
    pointer: str
    message: str


class _BadRows:
    """The bad rows of a task: all are counted, and kept while they may be reported."""

    def __init__(self) -> None:
        """Begin without any."""
        self.kept: list[_Bad] = []
        self.count = 0
        self._bytes = 0

    def add(self, ordinal: int, reason: BadLine) -> None:
        self.count += 1
        if self._bytes > MAX_EXPORT_BAD_ROWS_BYTES:
            return
        row = _Bad(ordinal, reason.kind, _clipped(reason.pointer), reason.message)
        self._bytes += len(row.pointer) + len(row.message) + _BAD_ROW_BYTES
        self.kept.append(row)


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
    bad = _BadRows()
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
    return Rest(reader.columns, tuple(_placed(sources, bad, plan)), bad.count)


def _write(
    file: Path,
    reader: ExactReader,
    lines: Iterator[tuple[int, bytes]],
    bad: _BadRows,
    plan: Plan,
) -> int:
    """Write the rows as JSON, and return the size of the longest."""
    longest = _WRITE_BYTES
    encoder = msgspec.json.Encoder()
    with file.open("wb", buffering=_WRITE_BYTES) as rows:
        for ordinal, line in lines:
            try:
                row = encoder.encode(reader.read(ordinal, line))
            except BadLine as reason:
                bad.add(ordinal, reason)
                if bad.count > _most(plan):
                    break
                continue
            longest = max(longest, len(row))
            rows.write(row + b"\n")
    return longest


def _clipped(pointer: str) -> str:
    return pointer[:_POINTER_CHARACTERS] + "…" * (len(pointer) > _POINTER_CHARACTERS)


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


def _placed(sources: Sequence[SourceFile], bad: _BadRows, plan: Plan) -> Iterator[BadRow]:
    taken = 0
    places = places_of(sources, [each.ordinal for each in bad.kept])
    for each, place in zip(bad.kept, places, strict=True):
        has_room = taken < MAX_EXPORT_BAD_ROWS_BYTES // _RECORDS_SHARE
        row = BadRow(
            path=place.path,
            line=place.line,
            kind=each.kind,
            pointer=each.pointer,
            message=each.message,
            record=place.record[:EXCERPT_BYTES] if has_room else b"",
        )
        if bad.count > _most(plan):
            raise _refusal(row, plan)
        taken += len(row.path) + len(row.pointer) + len(row.message) + len(row.record)
        taken += _BAD_ROW_BYTES
        if taken > MAX_EXPORT_BAD_ROWS_BYTES:
            return
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
