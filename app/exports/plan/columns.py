"""Bring the columns together that the tasks of a stage have found."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from app.exports.plan.conversion import united
from app.exports.plan.layout import member, require_names
from app.exports.plan.model import Column, ExportColumn, Plan


def united_columns(plan: Plan, tasks: Iterable[Sequence[Column]]) -> tuple[Column, ...]:
    """Return the columns of all map tasks, given in the order of their numbers.

    They are those that one task with all lines finds. Raises TaskFailed.
    """
    found: dict[str, Column] = {}
    requested = {column.name for column in plan.columns if column.type is not None}
    for columns in tasks:
        for column in columns:
            other = found.setdefault(column.name, column)
            if other is not column and column.name not in requested:
                found[column.name] = replace(other, type=united(other.type, column.type))
    columns = tuple(found.values())
    require_names([member(column.name) for column in columns], plan)
    return columns


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
            )
            for column in columns
        ),
    )
