"""Read clauses: what members and items must be, which values hold, what nothing can satisfy."""

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final

from msgspec import Struct

from app.schemas.compatibility.budget import Budget
from app.schemas.compatibility.clauses import (
    Clause,
    Element,
    Fields,
    Mode,
    Rest,
    Shape,
    canonical,
    is_void,
    type_of,
)
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.regular_expressions import matches
from app.schemas.document import JsonValue

FORMAT_EXAMPLES: Final = {
    "date-time": "2020-02-29T12:00:00Z",
    "date": "2020-02-29",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "a@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
}
"""One valid text each; an empty text is valid for none of these formats."""

MAX_EMPTY_DEPTH: Final = 6
_CHARACTERS_IN_A_STEP: Final = 256
TRIED_IN_A_STEP: Final = 16
"""Patterns that a name is tried with, or other demands that are looked through."""


class Member(Struct, frozen=True):
    """What a member or item must be, from above and from below."""

    over: Shape | None
    """All that is certain is demanded; None: there is no such member."""
    under: Shape | None
    """All that is possible is demanded; None: there is no such member."""
    known: bool = True
    """False: what is demanded from below is unknown."""


def member(clause: Clause, name: str, budget: Budget) -> Member:
    """Return what a clause demands of the member of a name; patterns cost."""
    if name in clause.absent:
        return Member(None, None)
    certain: set[Element] = set()
    unsure = False
    for fields in clause.fields:
        for element, applies in _elements(fields, name, budget):
            certain.add(element if applies else possibly(element))
            unsure = unsure or applies is None
    for fields in clause.possible:
        certain.update(possibly(element) for element, _ in _elements(fields, name, budget))
    refused = False
    for rest in clause.rests:
        applies = _applies(rest, name, budget)
        if rest.element is None:
            if applies:
                return Member(None, None)
            refused = refused or applies is None
        elif applies is not False:
            certain.add(rest.element if applies else possibly(rest.element))
            unsure = unsure or applies is None
    over = frozenset(certain)
    return Member(over, None if refused else over, known=refused or not unsure)


def _elements(fields: Fields, name: str, budget: Budget) -> Iterator[tuple[Element, bool | None]]:
    budget.spend(len(fields.patterns) // TRIED_IN_A_STEP)
    if name in fields.properties:
        yield fields.properties[name], True
    for pattern, element in fields.patterns.items():
        budget.check_time()
        applies = matches(pattern, name)
        if applies is not False:
            yield element, applies


def _applies(rest: Rest, name: str, budget: Budget) -> bool | None:
    covered = [applies for fields in rest.covered for _, applies in _elements(fields, name, budget)]
    if True in covered:
        return False
    possible = any(True for fields in rest.possible for _ in _elements(fields, name, budget))
    if covered or possible or rest.all_possible or not rest.certain:
        return None
    return True


def possibly(element: Element) -> Element:
    """Return the same schema, which demands nothing."""
    return Element(element.place, Mode.POSSIBLE)


def item(clause: Clause, index: int | None, budget: Budget) -> Shape:
    """Return what a clause demands of the item at an index, or of those after all listed ones."""
    budget.spend(len(clause.items) // TRIED_IN_A_STEP)
    found = set()
    for items in clause.items:
        if index is not None and index < len(items.first):
            found.add(items.first[index])
        elif items.rest is not None:
            found.add(items.rest)
    return frozenset(found)


def listed_items(clause: Clause) -> int:
    """Return how many items have demands of their own."""
    return max((len(items.first) for items in clause.items), default=0)


# ---- values


def holds(form: NormalForm, shape: Shape, value: JsonValue) -> bool | None:
    """Say whether a value is valid; None: unknown."""
    form.budget.spend(_size(value))
    kind = type_of(value)
    return _any_of(
        clause_holds(form, clause, value) for clause in form.clauses(shape) if clause.type == kind
    )


def _size(value: JsonValue) -> int:
    """Return the steps that a value costs, without those inside it."""
    match value:
        case str():
            return 1 + len(value) // _CHARACTERS_IN_A_STEP
        case list():
            return 1 + len(value)
        case dict():
            return 1 + len(value) + sum(map(len, value)) // _CHARACTERS_IN_A_STEP
        case _:
            return 1


def _any_of(results: Iterator[bool | None]) -> bool | None:
    found: bool | None = False
    for result in results:
        if result:
            return True
        if result is None:
            found = None
    return found


def _all_of(results: Iterator[bool | None]) -> bool | None:
    found: bool | None = True
    for result in results:
        if result is False:
            return False
        if result is None:
            found = None
    return found


def clause_holds(form: NormalForm, clause: Clause, value: JsonValue) -> bool | None:
    """Say whether a value of its type satisfies a clause; None: unknown."""
    form.budget.spend()
    return _all_of(_checks(form, clause, value))


def _checks(form: NormalForm, clause: Clause, value: JsonValue) -> Iterator[bool | None]:
    if clause.values is not None:
        yield canonical(value) in clause.values
    match value:
        case bool() | None:
            pass
        case int() | float():
            yield _number_holds(clause, value)
        case str():
            yield from _text_checks(form, clause, value)
        case list():
            yield _size_holds(clause, len(value))
            yield not clause.unique or len(set(map(canonical, value))) == len(value)
            for index, inner in enumerate(value):
                yield holds(form, item(clause, index, form.budget), inner)
        case _:
            yield _size_holds(clause, len(value))
            yield clause.required <= value.keys() and not clause.absent & value.keys()
            for name, inner in value.items():
                yield _member_holds(form, member(clause, name, form.budget), inner)
    if clause.opaque:
        yield None
    for shape in clause.excluded:
        excluded = holds(form, shape, value)
        yield None if excluded is None else not excluded


def _text_checks(form: NormalForm, clause: Clause, value: str) -> Iterator[bool | None]:
    yield _size_holds(clause, len(value))
    for pattern in clause.patterns:
        form.budget.spend()
        yield matches(pattern, value)
    yield from (_has_format(value, name) for name in clause.formats)


def _member_holds(form: NormalForm, demanded: Member, value: JsonValue) -> bool | None:
    if demanded.over is None or holds(form, demanded.over, value) is False:
        return False
    if not demanded.known or demanded.under is None:
        return None
    return holds(form, demanded.under, value)


def _size_holds(clause: Clause, size: int) -> bool:
    return clause.min_size <= size and (clause.max_size is None or size <= clause.max_size)


def _number_holds(clause: Clause, value: float) -> bool:
    if clause.integer and value % 1 != 0:
        return False
    if clause.lower is not None:
        low, above = clause.lower
        if value < low or (above and value == low):
            return False
    if clause.upper is not None:
        high, below = clause.upper
        if value > high or (below and value == high):
            return False
    return all(is_multiple(value, of) for of in clause.multiples)


def is_multiple(value: float, of: float) -> bool:
    """Say whether a number is a multiple of another, as both are written in decimal."""
    if not math.isfinite(value) or not math.isfinite(of):
        return False
    return _exactly(value) % _exactly(of) == 0


def _exactly(number: float) -> Fraction:
    # Beyond 2**53, an integer stands for its double, whose shortest text counts.
    return Fraction(Decimal(repr(number if abs(number) < 2**53 else float(number))))


def _has_format(value: str, name: str) -> bool | None:
    if name not in FORMAT_EXAMPLES:
        return None
    if value == FORMAT_EXAMPLES[name]:
        return True
    return False if value == "" else None


# ---- nothing


def is_empty(form: NormalForm, clause: Clause, depth: int = 0) -> bool:
    """Say whether no value can satisfy a clause; False: unknown."""
    known = form.emptiness.get((clause, depth))
    if known is None:
        form.budget.spend()
        known = form.emptiness[clause, depth] = _is_empty(form, clause, depth)
    return known


def _is_empty(form: NormalForm, clause: Clause, depth: int) -> bool:
    if is_void(clause):
        return True
    if clause.values is not None:
        return all(clause_holds(form, clause, v) is False for v in clause.values.values())
    if depth >= MAX_EMPTY_DEPTH:
        return False
    excludes_all = any(
        other.type == clause.type and is_free(other)
        for shape in clause.excluded
        for other in form.clauses(shape)
    )
    return excludes_all or _has_empty_part(form, clause, depth)


def _has_empty_part(form: NormalForm, clause: Clause, depth: int) -> bool:
    if clause.type == "array" and clause.min_size > 0:
        return any(
            _is_empty_shape(form, item(clause, index, form.budget), depth + 1)
            for index in range(min(int(clause.min_size), listed_items(clause) + 1))
        )
    for name in clause.required:
        form.budget.spend()
        demanded = member(clause, name, form.budget).over
        if demanded is None or _is_empty_shape(form, demanded, depth + 1):
            return True
    return False


def is_free(clause: Clause) -> bool:
    """Say whether a clause demands nothing; types that list their values always do."""
    sized = clause.min_size > 0 or clause.max_size is not None
    scalar = clause.integer or clause.lower or clause.upper or clause.multiples
    text = clause.patterns or clause.formats
    inner = clause.items or clause.unique or clause.required or clause.absent
    members = clause.fields or clause.rests
    other = clause.values is not None or clause.excluded or clause.opaque
    return not (sized or scalar or text or inner or members or other)


def _is_empty_shape(form: NormalForm, shape: Shape, depth: int) -> bool:
    return all(is_empty(form, clause, depth) for clause in form.clauses(shape))
