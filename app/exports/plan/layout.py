"""Decide what is read from each line, by a plan."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from app.exports.plan.model import ExportColumn, Grain, PartitionColumn, Plan, TaskFailed
from app.exports.plan.pointers import json_path, pointer_to, tokens_of
from app.limits import MAX_EXPORT_COLUMNS, MAX_EXPORT_NAMES_BYTES, MAX_EXPORT_PARTITIONS


class Layout(Struct, frozen=True, kw_only=True):
    """Pointers, each once, and what the value at each is used for, by numbers of pointers.

    `inferred`: the columns are all members of the records, and more may turn up.
    """

    pointers: tuple[str, ...]
    keys: tuple[int, ...]
    latest: int | None
    moments: tuple[int, ...]
    partition_by: tuple[PartitionColumn, ...]
    partitions: tuple[int, ...]
    columns: tuple[ExportColumn, ...]
    places: tuple[int, ...]
    inferred: bool

    @property
    def tokens(self) -> tuple[tuple[str, ...], ...]:
        """Return the tokens of each pointer."""
        return tuple(map(tokens_of, self.pointers))

    @property
    def paths(self) -> tuple[str, ...] | None:
        """Return DuckDB's path of each pointer, None if one has none."""
        found = tuple(path for path in map(json_path, self.tokens) if path is not None)
        return found if len(found) == len(self.pointers) else None

    @property
    def parents(self) -> tuple[str, ...]:
        """Return the paths of objects on the way to the values; the record is one in any case."""
        ways = (tokens[:length] for tokens in self.tokens for length in range(1, len(tokens)))
        paths = ("".join(f'."{token}"' for token in tokens) for tokens in ways)
        return tuple(dict.fromkeys(("$", *(f"${path}" for path in paths))))


def layout_of(plan: Plan, names: Sequence[str]) -> Layout:
    """Return the layout; `names` are those of members that are known, if columns are inferred."""
    columns = tuple(plan.columns) or tuple(map(member, names))
    pointers: dict[str, int] = {}

    def place(pointer: str) -> int:
        return pointers.setdefault(pointer, len(pointers))

    places = tuple(place(column.pointer) for column in columns)
    moments = [c.pointer for c in plan.partition_by if c.grain is not Grain.VALUE]
    latest = None if plan.latest_by is None else place(plan.latest_by)
    return Layout(
        keys=tuple(map(place, plan.key)),
        latest=latest,
        moments=tuple(dict.fromkeys(map(place, moments))),
        partition_by=tuple(plan.partition_by),
        partitions=tuple(place(column.pointer) for column in plan.partition_by),
        columns=columns,
        places=places,
        inferred=not plan.columns,
        pointers=tuple(pointers),
    )


def member(name: str) -> ExportColumn:
    """Return the column of a member of the records."""
    return ExportColumn(name=name, pointer=pointer_to(name))


class Names:
    """Names of columns, each once, in order of appearance, no more than an export may have."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Begin with some. Raises TaskFailed."""
        self._names: dict[str, None] = {}
        self._bytes = 0
        for name in names:
            self.add(name)

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._names)

    def add(self, name: str) -> bool:
        """Add a name, and return whether it is new. Raises TaskFailed, UnicodeEncodeError."""
        if name in self._names:
            return False
        self._bytes += len(name.encode())
        self._names[name] = None
        if len(self._names) > MAX_EXPORT_COLUMNS:
            message = f"the records have more than {MAX_EXPORT_COLUMNS} members: name columns"
            raise TaskFailed("columns_differ", message)
        if self._bytes > MAX_EXPORT_NAMES_BYTES:
            message = (
                f"the names of members have more than {MAX_EXPORT_NAMES_BYTES} bytes: name columns"
            )
            raise TaskFailed("columns_differ", message)
        return True


def require_names(columns: Sequence[ExportColumn], plan: Plan) -> None:
    """Refuse columns that no table can have. Raises TaskFailed."""
    Names(column.name for column in columns)
    taken: dict[str, str] = {}
    for column in columns:
        other = taken.setdefault(column.name.lower(), column.name)
        if other != column.name:
            message = f"the columns {other!r} and {column.name!r} differ only in case: name columns"
            raise TaskFailed("columns_differ", message)
        if not column.name or "\0" in column.name:
            raise TaskFailed("columns_differ", f"{column.name!r} cannot name a column")
    partitions = {each.name.lower(): each for each in plan.partition_by}
    for column in columns:
        partition = partitions.get(column.name.lower())
        if partition and (partition.grain, partition.pointer) != (Grain.VALUE, column.pointer):
            message = f"{column.name!r} names a column and a level of the folders"
            raise TaskFailed("columns_differ", message)


def require_few_partitions(count: int) -> None:
    """Refuse more partitions than an export may write. Raises TaskFailed."""
    if count > MAX_EXPORT_PARTITIONS:
        message = f"the rows have {count} partitions; at most {MAX_EXPORT_PARTITIONS} are written"
        details: dict[str, object] = {
            "partitions": count,
            "max_partitions": MAX_EXPORT_PARTITIONS,
        }
        raise TaskFailed("too_many_partitions", message, details)
