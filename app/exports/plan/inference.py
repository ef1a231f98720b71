"""Infer the types of columns from the kinds of their values, and say which value decided."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from duckdb import DuckDBPyConnection
from msgspec import Struct

from app.exports.plan import conversion
from app.exports.plan.model import (
    JSON_TEXT,
    Column,
    ExportColumn,
    SeenKind,
    SourceFile,
    TaskFailed,
    ValuePlace,
)
from app.exports.plan.places import places_of
from app.schemas.ddl.types import Scalar, Type

# Columns: the expressions of each take some hundred KiB.
_INFERRED_TOGETHER: Final = 100
_LOCATED_TOGETHER: Final = 10
_REMEDY: Final = "omit `since` to export everything"


class Inferred(Struct, frozen=True, kw_only=True):
    """The kinds of a column's values as bits, and the first value that made its type JSON.

    None: no value did, or the first.
    """

    kinds: int
    mixed_at: ValuePlace | None


NO_VALUES: Final = Inferred(kinds=0, mixed_at=None)


class _Seen(Struct, frozen=True):
    """The kinds of values in a column as bits, and the number of the first row that has one."""

    kinds: int
    first: int


def inferred_columns(
    connection: DuckDBPyConnection,
    sources: Sequence[SourceFile],
    columns: Sequence[ExportColumn],
    *,
    is_part: bool,
) -> list[Column]:
    """Return columns with their types, inferred from `rows` where they have none.

    `is_part`: other tasks have other rows, so the kinds are returned for `typed_by`.
    """
    seen = _seen(connection, [n for n, column in enumerate(columns) if column.type is None])
    located = _located(
        connection,
        sources,
        {n: each for n, each in seen.items() if is_part or _is_mixed(each.kinds)},
    )
    found = []
    for n, column in enumerate(columns):
        if column.type is not None:
            found.append(Column(name=column.name, type=column.type, source=column.source))
            continue
        kinds = located.get(n, ())
        inferred = conversion.inferred(seen[n].kinds)
        mixed_at = None if is_part else typed_by(kinds).mixed_at
        found.append(
            Column(
                name=column.name,
                type=inferred,
                source="inferred",
                mixed_at=mixed_at,
                kinds=kinds if is_part else (),
            )
        )
    return found


def continued_columns(
    connection: DuckDBPyConnection,
    sources: Sequence[SourceFile],
    columns: Sequence[ExportColumn],
    known: Sequence[Column],
) -> list[Column]:
    """Return columns that earlier lines have had, whose types those of `rows` do not change.

    Raises TaskFailed.
    """
    if len(columns) > len(known):
        raise _added(connection, sources, columns[len(known)], len(known))
    seen = _seen(connection, [n for n, column in enumerate(columns) if column.type is None])
    found = []
    for n, (before, wanted) in enumerate(zip(known, columns, strict=True)):
        of = wanted.type
        if of is None:
            of = conversion.inferred(conversion.kinds_in(before.type) | seen[n].kinds)
        if not conversion.alike(before.type, of):
            kinds = _located(connection, sources, {n: seen[n]})[n] if n in seen else ()
            raise _changed(before, wanted, kinds)
        source = "inferred" if wanted.type is None else wanted.source
        found.append(Column(name=wanted.name, type=of, source=source, mixed_at=before.mixed_at))
    return found


def typed_by(kinds: Sequence[SeenKind], after: Inferred = NO_VALUES) -> Inferred:
    """Return what is known of a column by values of kinds, in their order, `after` others."""
    known = after
    for each in kinds:
        bits = known.kinds | each.kind
        if bits == known.kinds:
            continue
        is_mixed = JSON_TEXT == conversion.inferred(bits) != conversion.inferred(known.kinds)
        mixed_at = each.at if known.kinds and is_mixed else known.mixed_at
        known = Inferred(kinds=bits, mixed_at=mixed_at)
    return known


def _added(
    connection: DuckDBPyConnection, sources: Sequence[SourceFile], column: ExportColumn, n: int
) -> TaskFailed:
    """Return the failure of a member that the earlier lines have not had."""
    message = f"{column.name!r} is a member of newer records only"
    located = _located(connection, sources, _seen(connection, [n]))
    if n not in located:
        # It is null in all of them.
        return TaskFailed("columns_differ", f"{message}; {_REMEDY}", {"pointer": column.pointer})
    at = located[n][0].at
    place: dict[str, object] = {"path": at.path, "line": at.line, "pointer": column.pointer}
    return TaskFailed(
        "columns_differ", f"{message}, first in {at.path}, line {at.line}; {_REMEDY}", place
    )


def _changed(before: Column, wanted: ExportColumn, kinds: Sequence[SeenKind]) -> TaskFailed:
    """Return the failure of a column whose type newer values change."""
    bits = conversion.kinds_in(before.type)
    for each in kinds:
        bits |= each.kind
        if not conversion.alike(before.type, conversion.inferred(bits)):
            message = (
                f"{wanted.name!r} {_of(before.type)} in the earlier export, and is "
                f"{conversion.name_of(each.kind)} in {each.at.path}, line {each.at.line}; omit "
                "`since` to export everything, and name the type of the column, such as string"
            )
            place = {"path": each.at.path, "line": each.at.line, "pointer": wanted.pointer}
            return TaskFailed("columns_differ", message, place)
    return TaskFailed("columns_differ", f"{wanted.name!r} has another type; {_REMEDY}")


def _of(before: Type) -> str:
    if before == conversion.inferred(0) or not isinstance(before, Scalar):
        return "had no values"
    return f"was {before.kind}"


def _is_mixed(kinds: int) -> bool:
    return kinds.bit_count() > 1 and conversion.inferred(kinds) == JSON_TEXT


def _seen(connection: DuckDBPyConnection, numbers: Sequence[int]) -> dict[int, _Seen]:
    found = dict[int, _Seen]()
    for some in _batches(numbers, _INFERRED_TOGETHER):
        values = ", ".join(
            f"bit_or({conversion.kind_of(f'c{n}')}), min(ordinal) FILTER (c{n} IS NOT NULL)"
            for n in some
        )
        row = connection.execute(f"SELECT {values} FROM rows").fetchone() or ()
        for at, n in enumerate(some):
            kinds, first = row[2 * at : 2 * at + 2]
            found[n] = _Seen(kinds or 0, first or 0)
    return found


def _located(
    connection: DuckDBPyConnection, sources: Sequence[SourceFile], seen: Mapping[int, _Seen]
) -> dict[int, list[SeenKind]]:
    """Return the kinds of columns in the order of their first values."""
    firsts = {
        n: [(each.first, each.kinds)] for n, each in seen.items() if each.kinds.bit_count() == 1
    }
    mixed = [n for n, each in seen.items() if each.kinds.bit_count() > 1]
    for some in _batches(mixed, _LOCATED_TOGETHER):
        wanted = [(n, kind) for n in some for kind in _bits(seen[n].kinds)]
        values = ", ".join(f"min(ordinal) FILTER (t{n} = {kind})" for n, kind in wanted)
        kinds = ", ".join(f"{conversion.kind_of(f'c{n}')} AS t{n}" for n in some)
        row = connection.execute(
            f"SELECT {values} FROM (SELECT ordinal, {kinds} FROM rows)"
        ).fetchone()
        for (n, kind), first in zip(wanted, row or (), strict=True):
            firsts.setdefault(n, []).append((first, kind))
    ordinals = sorted({ordinal for each in firsts.values() for ordinal, _ in each})
    # Without their records, of which each can have MiB.
    places = {
        each.ordinal: ValuePlace(path=each.path, line=each.line)
        for each in places_of(sources, ordinals)
    }
    return {
        n: [SeenKind(kind=kind, at=places[first]) for first, kind in sorted(each)]
        for n, each in firsts.items()
    }


def _bits(kinds: int) -> Iterator[int]:
    for n in range(kinds.bit_length()):
        if kinds & 1 << n:
            yield 1 << n


def _batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]
