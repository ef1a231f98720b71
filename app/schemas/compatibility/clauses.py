"""Clauses: what a schema demands of the values of one type, all of it at once.

A schema becomes a list of clauses (normal_form.py): a value is valid if one clause of its type
holds. Members and items are demanded by shapes, which become clauses when they are looked at.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from msgspec import Struct

from app.schemas.document import JsonValue
from app.schemas.library import At, Place

_T = TypeVar("_T")

TYPES: Final = ("null", "boolean", "number", "string", "array", "object")


class Mode(StrEnum):
    """In which way a schema applies to a value."""

    ASSERTED = "asserted"
    """It must hold; in a strict schema it describes the object and registers its fields."""
    CONDITION = "condition"
    """It must hold, and describes nothing: what stands in `if` or `not`."""
    POSSIBLE = "possible"
    """It may hold, and then describes and registers; nothing is demanded."""


class Element(Struct, frozen=True):
    """One schema of those that apply to the same value."""

    place: Place
    mode: Mode


Shape = frozenset[Element]
"""Schemas that apply to the same value. Which fields a strict one registers depends on all."""


class Fields(Struct, frozen=True, eq=False):
    """`properties` and `patternProperties` of one schema."""

    properties: Mapping[str, Element]
    patterns: Mapping[str, Element]


class Rest(Struct, frozen=True, eq=False):
    """What is demanded of the members that are not covered."""

    covered: tuple[Fields, ...]
    element: Element | None
    """None: there may be no such members."""
    at: At | None
    possible: tuple[Fields, ...] = ()
    """These may cover members, too."""
    all_possible: bool = False
    """Something may cover all members."""
    certain: bool = True
    """Whether it applies at all."""


class Items(Struct, frozen=True, eq=False):
    """`prefixItems` and `items` of one schema."""

    first: tuple[Element, ...]
    rest: Element | None


class Opaque(Struct, frozen=True):
    """A keyword that no rule reads: it is equal to one of the other schema, or undecided."""

    keyword: str
    place: Place


class Clause(Struct, frozen=True, eq=False, kw_only=True):
    """Demands on the values of one type; by default there are none."""

    type: str
    origins: Mapping[str, At] = {}
    """Where each kind of demand comes from."""
    values: Mapping[str, Any] | None = None
    """The only values, by their canonical texts."""
    excluded: tuple[Shape, ...] = ()
    opaque: frozenset[Opaque] = frozenset()
    integer: bool = False
    lower: tuple[float, bool] | None = None
    """The bound, and whether it is exclusive."""
    upper: tuple[float, bool] | None = None
    multiples: frozenset[float] = frozenset()
    min_size: int = 0
    """Of a string in characters, of an array in items, of an object in members."""
    max_size: float | None = None
    patterns: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    hints: frozenset[str] = frozenset()
    """Formats and encodings, also those that assert nothing: for tables."""
    unique: bool = False
    items: tuple[Items, ...] = ()
    required: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    fields: tuple[Fields, ...] = ()
    rests: tuple[Rest, ...] = ()
    # What strict schemas need besides: fields that may be registered; whether a schema describes
    # the object, or says otherwise.
    possible: tuple[Fields, ...] = ()
    describes: bool = False
    may_describe: bool = False
    open: bool = False
    may_open: bool = False

    def names(self) -> set[str]:
        """Return all names that the demands on members mention."""
        found = set(self.required | self.absent)
        for fields in self.fields + self.possible:
            found.update(fields.properties)
        for rest in self.rests:
            for fields in rest.covered + rest.possible:
                found.update(fields.properties)
        return found

    def size(self) -> int:
        """Return how many demands there are, for what it costs to copy them."""
        lists = (self.excluded, self.items, self.fields, self.rests, self.possible)
        names = (self.required, self.absent, self.patterns, self.multiples, self.opaque)
        return len(self.values or ()) + sum(map(len, lists)) + sum(map(len, names))

    def at(self, *kinds: str) -> At | None:
        """Return where the demand of the first of these kinds comes from; None: from nowhere."""
        return next((self.origins[k] for k in (*kinds, "") if k in self.origins), None)


def meet(a: Clause, b: Clause) -> Clause:
    """Return the clause that demands both; they are of the same type."""
    values = a.values
    if values is None or b.values is None or values is b.values:
        values = b.values if values is None else values
    else:
        values = {text: value for text, value in values.items() if text in b.values}
    sizes = [size for size in (a.max_size, b.max_size) if size is not None]
    return Clause(
        type=a.type,
        origins={**b.origins, **a.origins},
        values=values,
        excluded=_joined(a.excluded, b.excluded),
        opaque=a.opaque | b.opaque,
        integer=a.integer or b.integer,
        lower=max((x for x in (a.lower, b.lower) if x is not None), default=None),
        # Of two equal bounds, the exclusive one is narrower.
        upper=min(
            (x for x in (a.upper, b.upper) if x is not None),
            key=lambda bound: (bound[0], not bound[1]),
            default=None,
        ),
        multiples=a.multiples | b.multiples,
        min_size=max(a.min_size, b.min_size),
        max_size=min(sizes, default=None),
        patterns=a.patterns | b.patterns,
        formats=a.formats | b.formats,
        hints=a.hints | b.hints,
        unique=a.unique or b.unique,
        items=_joined(a.items, b.items),
        required=a.required | b.required,
        absent=a.absent | b.absent,
        fields=_joined(a.fields, b.fields),
        rests=_joined(a.rests, b.rests),
        possible=_joined(a.possible, b.possible),
        describes=a.describes or b.describes,
        may_describe=a.may_describe or b.may_describe,
        open=a.open or b.open,
        may_open=a.may_open or b.may_open,
    )


def _joined(a: tuple[_T, ...], b: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return each once: what several references lead to would double at each of them."""
    if not a or not b:
        return a or b
    return tuple(dict.fromkeys(a + b))


def is_void(clause: Clause) -> bool:
    """Say whether a clause contradicts itself at first sight; False: unknown."""
    if clause.values is not None and not clause.values:
        return True
    if clause.max_size is not None and clause.min_size > clause.max_size:
        return True
    if clause.required & clause.absent:
        return True
    if clause.lower is None or clause.upper is None:
        return False
    (low, above), (high, below) = clause.lower, clause.upper
    return low > high or (low == high and (above or below))


def type_of(value: JsonValue) -> str:
    """Return the type of a JSON value, as clauses have it: an integer is a number."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def canonical(value: JsonValue) -> str:
    """Return a text that equal JSON values share, and no others."""
    match value:
        case bool() | None | str():
            return json.dumps(value)
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return repr(value)
        case list():
            return f"[{','.join(map(canonical, value))}]"
        case _:
            members = (f"{json.dumps(name)}:{canonical(value[name])}" for name in sorted(value))
            return f"{{{','.join(members)}}}"
