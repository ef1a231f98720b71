"""Read lines one by one, exactly: those that SQL may read otherwise, and those that are bad."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from app.exports.plan import numbers
from app.exports.plan.fitting import Misfit, fitted
from app.exports.plan.hive import MAX_FOLDER_BYTES, folder
from app.exports.plan.layout import Layout, Names, member
from app.exports.plan.members import Line, Members, string_of
from app.exports.plan.model import ExportColumn, Grain, PartitionColumn
from app.exports.plan.moments import NUMBER_IS_NO_MOMENT, Moment, parse_moment
from app.exports.plan.pointers import tokens_of
from app.exports.plan.sharing import texts_of
from app.schemas.ddl.types import Type

# The last says whether no column before has the same text.
_Read: TypeAlias = tuple[ExportColumn, tuple[str, ...], bool]


class ExactRow(msgspec.Struct):
    """A row of the table `exact`, as DuckDB reads it from JSON; `c` has each text once."""

    o: int
    k: list[str]
    r: int
    j: str
    n: str
    p: list[str | int | None]
    c: list[str | None]


class BadLine(Exception):
    """A line that is not exported."""

    def __init__(self, kind: str, pointer: str, message: str) -> None:
        """Name what is wrong, and where."""
        super().__init__(message)
        self.kind = kind
        self.pointer = pointer
        self.message = message


class ExactReader:
    """Reads lines by a layout, and collects names of members that have no column yet."""

    def __init__(self, layout: Layout) -> None:
        """Begin with the columns of the layout."""
        self._layout = layout
        self._keys = [(layout.pointers[n], layout.tokens[n]) for n in layout.keys]
        self._levels = [(column, tokens_of(column.pointer)) for column in layout.partition_by]
        self._latest = None if layout.latest is None else layout.tokens[layout.latest]
        self._columns = list(layout.columns)
        self._reads = list(_reads(layout.columns))
        self._names = Names(c.name for c in layout.columns) if layout.inferred else None

    @property
    def columns(self) -> tuple[ExportColumn, ...]:
        """Return the columns, those found in lines included."""
        return tuple(self._columns)

    def read(self, ordinal: int, line: bytes) -> ExactRow:
        """Return the row of a line. Raises BadLine, and TaskFailed for too many columns."""
        try:
            found = Line(line)
        except ValueError:
            raise BadLine("not_an_object", "", "is not an object") from None
        if self._names is not None:
            self._collect(found.members, self._names)
        order = self._order(found)
        return ExactRow(
            o=ordinal,
            k=[_key(found, pointer, tokens) for pointer, tokens in self._keys],
            r=order.rank,
            j=str(order.major),
            n=order.minor,
            p=[_level(found, column, tokens) for column, tokens in self._levels],
            c=[
                text
                for column, tokens, is_new in self._reads
                for text in (_column(found, column, tokens),)
                if is_new
            ],
        )

    def _collect(self, members: Members, names: Names) -> None:
        for name in members:
            try:
                is_new = names.add(name)
            except UnicodeEncodeError:
                message = "has a name with half a surrogate pair, which has no UTF-8"
                raise BadLine("bad_value", "", message) from None
            if is_new:
                column = member(name)
                self._columns.append(column)
                self._reads.append((column, (name,), True))

    def _order(self, line: Line) -> numbers.Order:
        if self._latest is None or self._layout.latest is None:
            return numbers.Order(numbers.NUMBER, 0, "")
        pointer = self._layout.pointers[self._layout.latest]
        value = line.value_at(self._latest)
        if value is None:
            raise BadLine("bad_latest_by", pointer, "is missing or null")
        if value[0] in b"-0123456789":
            try:
                return numbers.order_of(value.decode())
            except ValueError as error:
                raise BadLine("bad_latest_by", pointer, str(error)) from None
        moment = _moment(value, "bad_latest_by", pointer)
        return numbers.Order(numbers.MOMENT, moment.us, moment.rest)


def _reads(columns: Sequence[ExportColumn]) -> Iterator[_Read]:
    """Yield the columns whose values are to be read: not those that ask for no other of them."""
    seen = set[tuple[str, Type | None]]()
    for n, (first, column) in enumerate(zip(texts_of(columns), columns, strict=True)):
        if (column.pointer, column.type) not in seen:
            seen.add((column.pointer, column.type))
            yield column, tokens_of(column.pointer), first == n


def _key(line: Line, pointer: str, tokens: Sequence[str]) -> str:
    value = line.value_at(tuple(tokens))
    if value is None:
        raise BadLine("bad_key", pointer, "is missing or null")
    try:
        if value.startswith(b'"'):
            return f'"{string_of(value)}"'
        if value[0] in b"-0123456789":
            return numbers.canonical(value.decode())
    except ValueError as error:
        raise BadLine("bad_key", pointer, str(error)) from None
    raise BadLine("bad_key", pointer, "is neither a string nor a number")


def _level(line: Line, column: PartitionColumn, tokens: tuple[str, ...]) -> str | int | None:
    value = line.value_at(tokens)
    if column.grain is not Grain.VALUE:
        if value is None:
            raise BadLine("bad_timestamp", column.pointer, "is missing or null")
        return _moment(value, "bad_timestamp", column.pointer).us
    if value is None:
        return None
    if value[:1] in (b"{", b"["):
        raise BadLine("bad_partition", column.pointer, "is neither text, number nor boolean")
    try:
        text = string_of(value) if value.startswith(b'"') else value.decode()
    except ValueError as error:
        raise BadLine("bad_partition", column.pointer, str(error)) from None
    if len(folder(column.name, text).encode()) > MAX_FOLDER_BYTES:
        message = f"makes the name of a folder longer than {MAX_FOLDER_BYTES} bytes"
        raise BadLine("bad_partition", column.pointer, message)
    return text


def _moment(value: bytes, kind: str, pointer: str) -> Moment:
    if value[0] in b"-0123456789":
        raise BadLine(kind, pointer, NUMBER_IS_NO_MOMENT)
    if not value.startswith(b'"'):
        raise BadLine(kind, pointer, "is not a timestamp, as 2021-01-14T10:30:00Z")
    try:
        return parse_moment(string_of(value))
    except ValueError as error:
        raise BadLine(kind, pointer, str(error)) from None


def _column(line: Line, column: ExportColumn, tokens: tuple[str, ...]) -> str | None:
    value = line.value_at(tokens)
    if value is None:
        return None
    try:
        return fitted(value, column.type).decode()
    except Misfit as misfit:
        raise BadLine("bad_value", column.pointer + misfit.pointer, misfit.message) from None
