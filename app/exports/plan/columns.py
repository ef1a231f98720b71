"""Bring the columns together that the tasks of a stage have found."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from app.exports.plan.inference import typed_by
from app.exports.plan.layout import member, require_names
from app.exports.plan.model import Column, ExportColumn, Plan, SeenKind


def united_columns(plan: Plan, tasks: Iterable[Sequence[Column]]) -> tuple[Column, ...]:
    """Return the columns of all map tasks, given in the order of their numbers.

    They are those that one task with all lines finds. Raises TaskFailed.
    """
    found: dict[str, Column] = {}
    kinds: dict[str, list[SeenKind]] = {}
    for columns in tasks:
        for column in columns:
            found.setdefault(column.name, column)
            kinds.setdefault(column.name, []).extend(column.kinds)
    requested = {column.name for column in plan.columns if column.type is not None}
    united = tuple(
        column if name in requested else _inferred(column, kinds[name])
        for name, column in found.items()
    )
    require_names([member(column.name) for column in united], plan)
    return united


def with_columns(plan: Plan, columns: Sequence[Column]) -> Plan:
    """Return the plan of the last stage: with the columns of all tasks, and their types."""
    pointers = {column.name: column.pointer for column in plan.columns}
    return replace(
        plan,
        columns=tuple(
            ExportColumn(
                name=column.name,
                pointer=pointers.get(column.name) or member(column.name).pointer,
                type=column.type,
                source=column.source,
                mixed_at=column.mixed_at,
            )
            for column in columns
        ),
    )


def _inferred(column: Column, kinds: Sequence[SeenKind]) -> Column:
    of, mixed_at = typed_by(kinds)
    return replace(column, type=of, mixed_at=mixed_at, kinds=())
