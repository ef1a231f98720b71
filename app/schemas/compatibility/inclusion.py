"""Prove that every value of one shape is a value of another, or say what is in the way."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from app.schemas.compatibility.clauses import Clause, Opaque, Shape, is_void, meet
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.reading import (
    clause_holds,
    holds,
    is_empty,
    is_multiple,
    item,
    listed_items,
    member,
    possibly,
)
from app.schemas.compatibility.sameness import Sameness

MAX_SHOWN: Final = 60
MAX_DEPTH: Final = 3
MAX_OBSTACLES: Final = 64
"""Of one pair: those of inner pairs add up."""


class Obstacle(Struct, frozen=True):
    """What is in the way of a proof: a demand of the schema that may refuse."""

    pointer: str
    message: str


class Inclusion:
    """Proves inclusions of shapes of `source` in shapes of `target`, version against version."""

    def __init__(self, source: NormalForm, target: NormalForm, sameness: Sameness) -> None:
        """Start without any proof."""
        self._source, self._target, self._sameness = source, target, sameness
        # A proof may use what it is about to show of members and items: documents are finite.
        # Proven or assumed, in their order: what failed takes all that was proven by it along.
        self._assumed: dict[tuple[Shape, Shape], None] = {}
        self._failed: dict[tuple[Shape, Shape], list[Obstacle]] = {}

    def obstacles(self, a: Shape, b: Shape) -> list[Obstacle]:
        """Return what is in the way; an empty list is a proof."""
        self._source.budget.spend()
        if not b or (a, b) in self._assumed:
            return []
        if (a, b) in self._failed:
            return self._failed[a, b]
        before = len(self._assumed)
        self._assumed[a, b] = None
        found = self._find(a, b)
        if found:
            while len(self._assumed) > before:
                self._assumed.popitem()
            self._failed[a, b] = found
        return found

    def _find(self, a: Shape, b: Shape) -> list[Obstacle]:
        found: list[Obstacle] = []
        targets = self._target.clauses(b)
        types = {clause.type for clause in targets}
        refused: dict[str, None] = {}
        for clause in self._source.clauses(a):
            if is_empty(self._source, clause):
                continue
            if clause.type in types:
                found += self._in_one_of(clause, b, targets)
            else:
                refused[clause.type] = None
        if refused:
            pointers = [clause.at("type") for clause in targets] or self._pointers(b)
            found.insert(0, Obstacle(pointers[0], f"refuses the types {', '.join(refused)}"))
        return list(dict.fromkeys(found))[:MAX_OBSTACLES]

    def _pointers(self, shape: Shape) -> list[str]:
        return sorted((self._target.library.location(e.place) for e in shape), key=len)

    def _in_one_of(self, a: Clause, b: Shape, targets: list[Clause]) -> list[Obstacle]:
        if a.values is not None:
            return self._values(a, b)
        candidates = [clause for clause in targets if clause.type == a.type]
        best: list[Obstacle] = []
        for clause in candidates:
            self._source.budget.spend()
            found = list(islice(self._between(a, clause), MAX_OBSTACLES))
            if not found:
                return []
            if not best or len(found) < len(best):
                best = found
        return best

    def _values(self, a: Clause, b: Shape) -> list[Obstacle]:
        found = []
        for text, value in (a.values or {}).items():
            if clause_holds(self._source, a, value) is False:
                continue
            if holds(self._target, b, value) is not True:
                shown = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
                found.append(Obstacle(self._pointers(b)[0], f"may refuse the value {shown}"))
        return found

    # ---- one clause in one clause

    def _between(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        if b.values is not None:
            yield Obstacle(b.at("values"), f"lists the values of a {a.type}")
        for shape in b.excluded:
            if not self._excludes(a, shape):
                yield Obstacle(b.at("excluded"), "must not match a schema that may match")
        for keyword in b.opaque:
            if not any(self._same_opaque(mine, keyword) for mine in a.opaque):
                at = self._target.library.location(keyword.place, keyword.keyword)
                yield Obstacle(at, f"{keyword.keyword} differs")
        match a.type:
            case "number":
                yield from _numbers(a, b)
            case "string":
                yield from _texts(a, b)
            case "array":
                yield from self._arrays(a, b)
            case _:
                yield from self._objects(a, b)

    def _excludes(self, a: Clause, shape: Shape) -> bool:
        """Say whether no value of a clause is in a shape of the other version."""
        (theirs,) = shape
        for (mine,) in a.excluded:
            if self._sameness.same(mine.place, theirs.place):
                return True
        return all(
            self._are_apart(a, clause)
            for clause in self._target.clauses(shape)
            if clause.type == a.type
        )

    def _are_apart(self, a: Clause, b: Clause, depth: int = 0) -> bool:
        """Say whether no value is in a clause of either version."""
        self._source.budget.spend(1 + len(a.required) + len(b.required))
        if is_void(meet(_flat(a), _flat(b))):
            return True
        for clause, other, form in ((a, b, self._target), (b, a, self._source)):
            for value in (clause.values or {}).values():
                if clause_holds(form, other, value) is not False:
                    break
            else:
                if clause.values is not None:
                    return True
        if depth >= MAX_DEPTH:
            return False
        for name in sorted(a.required | b.required):
            left, right = member(a, name).over, member(b, name).over
            if left is None or right is None:
                return True
            pairs = product(self._source.clauses(left), self._target.clauses(right))
            if all(c.type != d.type or self._are_apart(c, d, depth + 1) for c, d in pairs):
                return True
        return False

    def _same_opaque(self, a: Opaque, b: Opaque) -> bool:
        if a.keyword != b.keyword:
            return False
        sides = (self._source.library, a.place), (self._target.library, b.place)
        left, right = (library.inside(place, a.keyword) for library, place in sides)
        if a.keyword == "contains":
            counts = ("minContains", "maxContains")
            if any(a.place.schema.get(k) != b.place.schema.get(k) for k in counts):
                return False
            if a.place.resource.draft_7 != b.place.resource.draft_7:
                return False
        # What the schemas around it have evaluated matters, too.
        if a.keyword == "unevaluatedItems":
            left, right = a.place, b.place
        return self._sameness.same(left, right)

    # ---- arrays

    def _arrays(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        yield from _sizes(a, b, "minItems", "maxItems", "items")
        if b.unique and not a.unique and (a.max_size is None or a.max_size > 1):
            yield Obstacle(b.at("uniqueItems"), "demands unique items")
        listed = max(listed_items(a), listed_items(b))
        for index in (*range(listed), None):
            position = listed if index is None else index
            if a.max_size is not None and position >= a.max_size:
                break
            yield from self.obstacles(item(a, index), item(b, index))

    # ---- objects

    def _objects(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        yield from _sizes(a, b, "minProperties", "maxProperties", "properties")
        for name in sorted(b.required - a.required):
            yield Obstacle(b.at("required"), f"requires {name!r}")
        names = a.names() | b.names()
        self._source.budget.spend(len(names))
        for name in sorted(names):
            yield from self._member(a, b, name)
        yield from self._unlisted(a, b)

    def _member(self, a: Clause, b: Clause, name: str) -> Iterator[Obstacle]:
        self._source.budget.spend()
        mine, others = member(a, name), member(b, name)
        if mine.over is None:
            return
        if not others.known:
            yield Obstacle(b.at("object"), f"demands of {name!r} depend on a pattern")
        elif others.under is None:
            if self._source.clauses(mine.over):
                yield Obstacle(b.at("object"), f"does not register {name!r}")
        else:
            yield from self.obstacles(mine.over, others.under)

    def _unlisted(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        """Check the members that neither side lists by name, by the patterns that they match."""
        beside = _possible_elements(b)
        for fields in b.fields:
            for pattern, element in fields.patterns.items():
                yield from self._class(_matching(a, pattern), beside | {element})
        if beside and not b.rests:
            yield from self._others(a, set(), beside)
        for rest in b.rests:
            covered = {p for fields in rest.covered for p in fields.patterns}
            if rest.element is None or rest.element.place.schema is False:
                yield from self._others(a, covered, None, rest.pointer)
            elif rest.possible or rest.all_possible or not rest.certain:
                yield Obstacle(rest.pointer, "depends on the alternatives that match")
            else:
                yield from self._others(a, covered, beside | {rest.element})

    def _others(
        self, a: Clause, covered: set[str], target: Shape | None, pointer: str = ""
    ) -> Iterator[Obstacle]:
        """Check the members that match none of these patterns."""
        patterns = {p for fields in a.fields for p in fields.patterns} - covered
        for mine in (_unmatched(a), *(_matching(a, pattern) for pattern in sorted(patterns))):
            yield from self._class(mine, target, pointer)

    def _class(
        self, mine: Shape | None, target: Shape | None, pointer: str = ""
    ) -> Iterator[Obstacle]:
        if mine is None:
            return
        if target is not None:
            yield from self.obstacles(mine, target)
        elif self._source.clauses(mine):
            yield Obstacle(pointer, "refuses fields that are not registered")


def _matching(a: Clause, pattern: str) -> Shape | None:
    """Return what is certain of unlisted members whose names match a pattern; None: no such."""
    found = set(_possible_elements(a))
    for fields in a.fields:
        for other, element in fields.patterns.items():
            found.add(element if other == pattern else possibly(element))
    for rest in a.rests:
        patterns = {p for fields in rest.covered + rest.possible for p in fields.patterns}
        if pattern in {p for fields in rest.covered for p in fields.patterns}:
            continue
        certain = rest.certain and not rest.all_possible and not patterns
        if rest.element is not None:
            found.add(rest.element if certain else possibly(rest.element))
        elif certain:
            return None
    return frozenset(found)


def _unmatched(a: Clause) -> Shape | None:
    """Return what is certain of unlisted members that match no pattern; None: no such."""
    found = set(_possible_elements(a))
    for rest in a.rests:
        possible = any(fields.patterns for fields in rest.possible)
        certain = rest.certain and not rest.all_possible and not possible
        if rest.element is not None:
            found.add(rest.element if certain else possibly(rest.element))
        elif certain:
            return None
    return frozenset(found)


def _possible_elements(clause: Clause) -> Shape:
    """Return what may apply to members that are not listed, and demands nothing."""
    return frozenset(
        possibly(element) for fields in clause.possible for element in fields.patterns.values()
    )


def _flat(clause: Clause) -> Clause:
    """Return a clause without what belongs to one version: schemas inside it."""
    return replace(
        clause, items=(), fields=(), rests=(), possible=(), excluded=(), opaque=frozenset()
    )


# ---- scalars


def _numbers(a: Clause, b: Clause) -> Iterator[Obstacle]:
    whole = a.integer or any(of % 1 == 0 for of in a.multiples)
    if b.integer and not whole:
        yield Obstacle(b.at("type"), "demands an integer")
    if b.lower is not None and not _is_above(a.lower, b.lower):
        yield Obstacle(b.at("minimum", "exclusiveMinimum"), f"demands at least {b.lower[0]}")
    if b.upper is not None and not _is_below(a.upper, b.upper):
        yield Obstacle(b.at("maximum", "exclusiveMaximum"), f"demands at most {b.upper[0]}")
    for of in b.multiples:
        integers = a.integer and is_multiple(1, of)
        if not integers and not any(is_multiple(mine, of) for mine in a.multiples):
            yield Obstacle(b.at("multipleOf"), f"demands a multiple of {of}")


def _texts(a: Clause, b: Clause) -> Iterator[Obstacle]:
    yield from _sizes(a, b, "minLength", "maxLength", "characters")
    for pattern in sorted(b.patterns - a.patterns):
        yield Obstacle(b.at("pattern"), f"demands the pattern {pattern}")
    for name in sorted(b.formats - a.formats):
        yield Obstacle(b.at("format"), f"demands the format {name}")


def _is_above(a: tuple[float, bool] | None, b: tuple[float, bool]) -> bool:
    return a is not None and (a[0] > b[0] or (a[0] == b[0] and (a[1] or not b[1])))


def _is_below(a: tuple[float, bool] | None, b: tuple[float, bool]) -> bool:
    return a is not None and (a[0] < b[0] or (a[0] == b[0] and (a[1] or not b[1])))


def _sizes(a: Clause, b: Clause, least: str, most: str, unit: str) -> Iterator[Obstacle]:
    if a.min_size < b.min_size and len(a.required) < b.min_size:
        yield Obstacle(b.at(least), f"demands at least {b.min_size} {unit}")
    if b.max_size is not None and (a.max_size is None or a.max_size > b.max_size):
        yield Obstacle(b.at(most), f"demands at most {b.max_size} {unit}")
