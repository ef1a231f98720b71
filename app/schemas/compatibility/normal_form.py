"""Turn schemas into clauses: alternatives, each of which demands everything at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.clauses import (
    TYPES,
    Clause,
    Element,
    Fields,
    Items,
    Mode,
    Rest,
    Shape,
    is_void,
    meet,
)
from app.schemas.compatibility.keywords import Keywords
from app.schemas.library import At, Library, Place

MAX_CLAUSES: Final = 256
"""Alternatives multiply where they meet."""
_COPIED_IN_A_STEP: Final = 16


class NormalForm:
    """The clauses of the shapes of one version."""

    def __init__(self, library: Library, budget: Budget) -> None:
        """Remember clauses once they are known."""
        self.library = library
        self._strict = bool(library.document.strict)
        self.budget = budget
        self._keywords = Keywords(library, budget)
        self._known: dict[Shape, list[Clause]] = {}
        self._elements: dict[Element, list[Clause]] = {}
        self._entered: set[Element] = set()
        # What is known to be empty or not, to a depth (reading.py).
        self.emptiness: dict[tuple[Clause, int], bool] = {}

    def root(self) -> Shape:
        """Return the shape of whole documents."""
        return frozenset({Element(self.library.root(), Mode.ASSERTED)})

    def clauses(self, shape: Shape) -> list[Clause]:
        """Return the alternatives of a shape; objects are closed if the schema is strict.

        Raises:
            Undecidable: there are too many, or a keyword cannot be read.
        """
        known = self._known.get(shape)
        if known is None:
            self.budget.spend()
            known = _any()
            for element in shape:
                known = self._meet(known, self._of(element), element.place)
            if self._strict:
                known = [self._closed(clause) for clause in known]
            self._known[shape] = known
        return known

    def meet(self, clause: Clause, shape: Shape) -> list[Clause]:
        """Return the alternatives of what a clause and a shape demand together."""
        return self._meet([clause], self.clauses(shape), None)

    def _closed(self, clause: Clause) -> Clause:
        if clause.open or not (clause.describes or clause.may_describe):
            return clause
        rest = Rest(
            clause.fields,
            None,
            clause.at("object"),
            possible=clause.possible,
            all_possible=clause.may_open,
            certain=clause.describes,
        )
        return replace(clause, rests=(*clause.rests, rest))

    def _of(self, element: Element) -> list[Clause]:
        known = self._elements.get(element)
        if known is None:
            if element in self._entered:
                raise Undecidable(self.library.location(At(element.place)), "refers to itself")
            self._entered.add(element)
            try:
                self.budget.spend()
                if element.mode is Mode.POSSIBLE:
                    known = self._possibly(self._of(Element(element.place, Mode.ASSERTED)))
                else:
                    known = self._read(element)
            finally:
                self._entered.discard(element)
            self._elements[element] = known
        return known

    def _possibly(self, clauses: Sequence[Clause]) -> list[Clause]:
        """Return one clause a type that demands nothing, and may register what these do."""
        self.budget.spend(1 + sum(clause.size() for clause in clauses) // _COPIED_IN_A_STEP)
        return [
            Clause(type=kind, **_possible([c for c in clauses if c.type == kind])) for kind in TYPES
        ]

    def _read(self, element: Element) -> list[Clause]:
        place, mode = element.place, element.mode
        schema = place.schema
        if isinstance(schema, bool):
            return _any(At(place)) if schema else []
        if place.resource.foreign or place.has("$dynamicRef"):
            at = self.library.location(At(place))
            raise Undecidable(at, "depends on a vocabulary or on a dynamic reference")
        clauses = self._keywords.clauses(place, mode)
        for group in self._in_place(place, mode):
            clauses = self._meet(clauses, group, place)
        if place.has("unevaluatedProperties"):
            clauses = [self._keywords.unevaluated(clause, place, mode) for clause in clauses]
        return clauses

    # ---- the keywords that apply other schemas to the same value

    def _in_place(self, place: Place, mode: Mode) -> Iterable[list[Clause]]:
        inside = self.library.inside
        if place.has("$ref"):
            yield self._of(Element(self.library.resolve(place), mode))
        for index in range(len(place.schema["allOf"]) if place.has("allOf") else 0):
            yield self._of(Element(inside(place, "allOf", index), mode))
        for keyword in ("anyOf", "oneOf"):
            if place.has(keyword):
                alternatives = [
                    inside(place, keyword, i) for i in range(len(place.schema[keyword]))
                ]
                yield self._alternatives(alternatives, mode, exclusive=keyword == "oneOf")
        if place.has("not"):
            yield self._without(inside(place, "not"))
        if place.has("if"):
            yield self._condition(place, mode)
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name in place.schema[keyword] if place.has(keyword) else ():
                yield self._dependency(place, keyword, name, mode)

    def _condition(self, place: Place, mode: Mode) -> list[Clause]:
        inside = self.library.inside
        condition = inside(place, "if")
        holds = self._of(Element(condition, Mode.CONDITION))
        fails = self._without(condition)
        if place.has("then"):
            holds = self._meet(holds, self._of(Element(inside(place, "then"), mode)), place)
        if place.has("else"):
            fails = self._meet(fails, self._of(Element(inside(place, "else"), mode)), place)
        return holds + fails

    def _alternatives(
        self, places: Sequence[Place], mode: Mode, *, exclusive: bool
    ) -> list[Clause]:
        lists = [self._of(Element(place, mode)) for place in places]
        beside = [] if exclusive else self._possibly([c for each in lists for c in each])
        found: list[Clause] = []
        for index, clauses in enumerate(lists):
            self.budget.spend(len(lists))
            others = [i for i in range(len(lists)) if i != index]
            # Where several may hold, each may register what any of them does.
            groups = [self._without(places[other]) for other in others] if exclusive else [beside]
            chosen = clauses
            for group in groups:
                chosen = self._meet(chosen, group, places[index])
            found += chosen
        return found

    def _without(self, place: Place) -> list[Clause]:
        if isinstance(place.schema, bool):
            return [] if place.schema else _any()
        shape = frozenset({Element(place, Mode.CONDITION)})
        at = {"excluded": At(place)}
        return [Clause(type=c.type, values=c.values, excluded=(shape,), origins=at) for c in _any()]

    def _dependency(self, place: Place, keyword: str, name: str, mode: Mode) -> list[Clause]:
        needed = place.schema[keyword][name]
        if isinstance(needed, list):
            then = [Clause(type="object", required=frozenset({name, *needed}))]
        else:
            present = Clause(type="object", required=frozenset({name}))
            inner = self._of(Element(self.library.inside(place, keyword, name), mode))
            then = [meet(clause, present) for clause in inner if clause.type == "object"]
        others = [clause for clause in _any() if clause.type != "object"]
        return [*others, Clause(type="object", absent=frozenset({name})), *then]

    def _meet(
        self, left: Sequence[Clause], right: Sequence[Clause], place: Place | None
    ) -> list[Clause]:
        found = []
        for a in left:
            for b in right:
                if a.type != b.type:
                    continue
                self.budget.spend(1 + (a.size() + b.size()) // _COPIED_IN_A_STEP)
                both = meet(a, b)
                if is_void(both):
                    continue
                found.append(both)
                if len(found) > MAX_CLAUSES:
                    at = "" if place is None else self.library.location(At(place))
                    raise Undecidable(at, f"has more than {MAX_CLAUSES} alternatives")
        return found


def _any(at: At | None = None) -> list[Clause]:
    values: dict[str, Mapping[str, Any]] = {
        "null": {"null": None},
        "boolean": {"true": True, "false": False},
    }
    origins = {} if at is None else {"": at}
    return [Clause(type=kind, values=values.get(kind), origins=origins) for kind in TYPES]


def _possible(clauses: Sequence[Clause]) -> dict[str, Any]:
    return {
        "possible": tuple(
            dict.fromkeys(
                found
                for clause in clauses
                for found in (*clause.fields, *clause.possible, *_possible_rests(clause))
            )
        ),
        "may_describe": any(c.describes or c.may_describe for c in clauses),
        "may_open": any(c.open or c.may_open for c in clauses),
        "items": tuple(_possible_items(i) for clause in clauses for i in clause.items),
    }


def _possible_rests(clause: Clause) -> Iterable[Fields]:
    # The empty pattern matches all names, a few more than such an element applies to.
    for rest in clause.rests:
        if rest.element is not None:
            yield Fields({}, {"": rest.element})


def _possible_items(items: Items) -> Items:
    rest = items.rest and Element(items.rest.place, Mode.POSSIBLE)
    return Items(tuple(Element(e.place, Mode.POSSIBLE) for e in items.first), rest)
