"""Prove that every value of one shape is a value of another, or say what is in the way."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from msgspec.structs import replace

from app.schemas.compatibility.clauses import Clause, Opaque, Shape, is_void, meet
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.obstacles import Obstacle, numbers, shown, sizes, texts
from app.schemas.compatibility.reading import (
    TRIED_IN_A_STEP,
    Member,
    clause_holds,
    holds,
    is_empty,
    item,
    listed_items,
    member,
    possibly,
)
from app.schemas.compatibility.sameness import Sameness
from app.schemas.library import At

MAX_DEPTH: Final = 3
MAX_OBSTACLES: Final = 64
"""Of one pair: those of inner pairs add up."""


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
            at = targets[0].at("type") if targets else self._outermost(b)
            found.insert(0, Obstacle(at, f"refuses the types {', '.join(refused)}"))
        return list(dict.fromkeys(found))[:MAX_OBSTACLES]

    def _outermost(self, shape: Shape) -> At:
        library = self._target.library
        places = (At(element.place) for element in shape)
        return min(places, key=lambda at: (at.place.way.depth, library.location(at)))

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
                found.append(Obstacle(self._outermost(b), f"may refuse the value {shown(text)}"))
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
                at = At(keyword.place, keyword.keyword)
                yield Obstacle(at, f"{keyword.keyword} differs")
        match a.type:
            case "number":
                yield from numbers(a, b)
            case "string":
                yield from texts(a, b)
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
            left, right = self._member_of(a, name).over, self._member_of(b, name).over
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
        yield from sizes(a, b, "minItems", "maxItems", "items")
        if b.unique and not a.unique and (a.max_size is None or a.max_size > 1):
            yield Obstacle(b.at("uniqueItems"), "demands unique items")
        listed = max(listed_items(a), listed_items(b))
        for index in (*range(listed), None):
            position = listed if index is None else index
            if a.max_size is not None and position >= a.max_size:
                break
            mine, others = (item(clause, index, self._source.budget) for clause in (a, b))
            yield from self.obstacles(mine, others)

    # ---- objects

    def _objects(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        yield from sizes(a, b, "minProperties", "maxProperties", "properties")
        for name in sorted(b.required - a.required):
            yield Obstacle(b.at("required"), f"requires {shown(repr(name))}")
        names = a.names() | b.names()
        self._source.budget.spend(len(names))
        for name in sorted(names):
            yield from self._member(a, b, name)
        yield from self._unlisted(a, b)

    def _member(self, a: Clause, b: Clause, name: str) -> Iterator[Obstacle]:
        self._source.budget.spend()
        mine, others = self._member_of(a, name), self._member_of(b, name)
        if mine.over is None:
            return
        if not others.known:
            yield Obstacle(b.at("object"), f"demands of {shown(repr(name))} depend on a pattern")
        elif others.under is None:
            if self._source.clauses(mine.over):
                yield Obstacle(b.at("object"), f"does not register {shown(repr(name))}")
        else:
            yield from self.obstacles(mine.over, others.under)

    def _member_of(self, clause: Clause, name: str) -> Member:
        return member(clause, name, self._source.budget)

    def _unlisted(self, a: Clause, b: Clause) -> Iterator[Obstacle]:
        """Check the members that neither side lists by name, by the patterns that they match."""
        beside = _possible_elements(b)
        for fields in b.fields:
            for pattern, element in fields.patterns.items():
                yield from self._class(self._matching(a, pattern), beside | {element})
        if beside and not b.rests:
            yield from self._others(a, set(), beside)
        for rest in b.rests:
            covered = {p for fields in rest.covered for p in fields.patterns}
            if rest.element is None or rest.element.place.schema is False:
                yield from self._others(a, covered, None, rest.at)
            elif rest.possible or rest.all_possible or not rest.certain:
                yield Obstacle(rest.at, "depends on the alternatives that match")
            else:
                yield from self._others(a, covered, beside | {rest.element})

    def _others(
        self, a: Clause, covered: set[str], target: Shape | None, at: At | None = None
    ) -> Iterator[Obstacle]:
        """Check the members that match none of these patterns."""
        patterns = {p for fields in a.fields for p in fields.patterns} - covered
        yield from self._class(_unmatched(a), target, at)
        for pattern in sorted(patterns):
            yield from self._class(self._matching(a, pattern), target, at)

    def _class(
        self, mine: Shape | None, target: Shape | None, at: At | None = None
    ) -> Iterator[Obstacle]:
        if mine is None:
            return
        if target is not None:
            yield from self.obstacles(mine, target)
        elif self._source.clauses(mine):
            yield Obstacle(at, "refuses fields that are not registered")

    def _matching(self, a: Clause, pattern: str) -> Shape | None:
        """Return what is certain of unlisted members whose names match a pattern; None: no such."""
        rests = (fields for rest in a.rests for fields in rest.covered + rest.possible)
        tried = sum(len(fields.patterns) for fields in (*a.fields, *rests))
        self._source.budget.spend(tried // TRIED_IN_A_STEP)
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
