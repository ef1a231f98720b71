"""Bring the columns together that the tasks of a stage have found."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from app.exports.plan.conversion import inferred
from app.exports.plan.inference import NO_VALUES, Inferred, typed_by
from app.exports.plan.layout import Names, member, require_names
from app.exports.plan.model import Column, ExportColumn, Plan


class UnitedColumns:
    """The columns of map tasks, added in the order of their numbers.

    They are those that one task with all lines finds. Of each is kept what its type needs, however
    many tasks have it.
    """

    def __init__(self) -> None:
        """Begin without columns."""
        self._names = Names()
        self._first: dict[str, Column] = {}
        self._inferred: dict[str, Inferred] = {}

    def add(self, columns: Iterable[Column]) -> None:
        """Add the columns of the next task. Raises TaskFailed once they are too many."""
        for column in columns:
            name = column.name
            if self._names.add(name):
                self._first[name] = replace(column, kinds=())
            self._inferred[name] = typed_by(column.kinds, self._inferred.get(name, NO_VALUES))

    def of(self, plan: Plan) -> tuple[Column, ...]:
        """Return the columns, with types. Raises TaskFailed."""
        requested = {column.name for column in plan.columns if column.type is not None}
        united = tuple(
            column if name in requested else _typed(column, self._inferred[name])
            for name, column in self._first.items()
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


def _typed(column: Column, known: Inferred) -> Column:
    return replace(column, type=inferred(known.kinds), mixed_at=known.mixed_at)
