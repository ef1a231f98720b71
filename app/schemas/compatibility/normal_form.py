"""Turn schemas into clauses: alternatives, each of which demands everything at once."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from app.schemas.compatibility.clauses import (
    TYPES,
    Clause,
    Element,
    Fields,
    Items,
    Mode,
    Opaque,
    Rest,
    Shape,
    canonical,
    meet,
    type_of,
)
from app.schemas.document import Library, Place

MAX_CLAUSES: Final = 256
"""Alternatives multiply where they meet."""

ASSERTED_FORMATS: Final = frozenset(
    ["date-time", "date", "time", "duration", "email", "idn-email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex"]
)
_OPAQUE: Final = ("propertyNames", "contains", "unevaluatedItems")
_APPLIES_TO: Final = {"propertyNames": "object", "contains": "array", "unevaluatedItems": "array"}
_REGISTERS: Final = ("contains", "unevaluatedItems")


class Undecidable(Exception):
    """The rules end here; carries the pointer and the reason."""

    def __init__(self, pointer: str, message: str) -> None:
        """Keep both parts."""
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class Budget:
    """Steps that one comparison may take: tenants choose schemas."""

    def __init__(self, steps: int) -> None:
        """Start with all of them."""
        self._left = steps

    def spend(self) -> None:
        """Take one step.

        Raises:
            Undecidable: none is left.
        """
        self._left -= 1
        if self._left < 0:
            raise Undecidable("", "the schemas are too large to be compared")


class NormalForm:
    """The clauses of the shapes of one version."""

    def __init__(self, library: Library, budget: Budget) -> None:
        """Remember clauses once they are known."""
        self.library = library
        self._strict = library.document.strict
        self.budget = budget
        self._known: dict[Shape, list[Clause]] = {}
        self._elements: dict[Element, list[Clause]] = {}
        self._entered: set[Element] = set()

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
                raise Undecidable(self.library.location(element.place), "refers to itself")
            self._entered.add(element)
            self.budget.spend()
            if element.mode is Mode.POSSIBLE:
                known = self._possibly(self._of(Element(element.place, Mode.ASSERTED)))
            else:
                known = self._read(element)
            self._entered.discard(element)
            self._elements[element] = known
        return known

    def _possibly(self, clauses: Sequence[Clause]) -> list[Clause]:
        """Return one clause a type that demands nothing, and may register what these do."""
        return [
            Clause(type=kind, **_possible([c for c in clauses if c.type == kind])) for kind in TYPES
        ]

    def _read(self, element: Element) -> list[Clause]:
        place, mode = element.place, element.mode
        schema = place.schema
        if isinstance(schema, bool):
            return _any(self.library.location(place)) if schema else []
        if place.resource.foreign or place.has("$dynamicRef"):
            at = self.library.location(place)
            raise Undecidable(at, "depends on a vocabulary or on a dynamic reference")
        clauses = [self._base(kind, place, mode) for kind in _types(place)]
        clauses = self._with_values(place, clauses)
        for group in self._in_place(place, mode):
            clauses = self._meet(clauses, group, place)
        if place.has("unevaluatedProperties"):
            clauses = [self._unevaluated(clause, place, mode) for clause in clauses]
        return clauses

    def _with_values(self, place: Place, clauses: list[Clause]) -> list[Clause]:
        for keyword in ("enum", "const"):
            if place.has(keyword):
                listed = place.schema[keyword] if keyword == "enum" else [place.schema["const"]]
                allowed = {canonical(value): value for value in listed}
                at = {"values": self.library.location(place, keyword)}
                clauses = [
                    meet(clause, Clause(type=clause.type, values=mine, pointers=at))
                    for clause in clauses
                    if (mine := {t: v for t, v in allowed.items() if type_of(v) == clause.type})
                ]
        return clauses

    # ---- the keywords of one type

    def _base(self, kind: str, place: Place, mode: Mode) -> Clause:
        def get(keyword: str, default: Any = None) -> Any:
            if not place.has(keyword):
                return default
            pointers[keyword] = self.library.location(place, keyword)
            return place.schema[keyword]

        pointers = {"": self.library.location(place)}
        if place.has("type"):
            pointers["type"] = self.library.location(place, "type")
        found: dict[str, Any] = {}
        if kind in ("null", "boolean"):
            found["values"] = {"null": None} if kind == "null" else {"true": True, "false": False}
        elif kind == "number":
            named = get("type", ())
            named = {named} if isinstance(named, str) else set(named)
            found["integer"] = "integer" in named and "number" not in named
            found["lower"] = _bound(get("minimum"), get("exclusiveMinimum"), max)
            found["upper"] = _bound(get("maximum"), get("exclusiveMaximum"), min)
            found["multiples"] = _set_of(get("multipleOf"))
        elif kind == "string":
            found["min_size"], found["max_size"] = get("minLength", 0), get("maxLength")
            found["patterns"] = _set_of(get("pattern"))
            found["formats"] = _set_of(get("format")) & ASSERTED_FORMATS
        elif kind == "array":
            found["min_size"], found["max_size"] = get("minItems", 0), get("maxItems")
            found["unique"] = get("uniqueItems", default=False)
            found["items"] = self._items(place, mode)
        else:
            found["min_size"], found["max_size"] = get("minProperties", 0), get("maxProperties")
            found["required"] = frozenset(get("required", ()))
            found |= self._members(place, mode)
            pointers["object"] = self.library.location(place)
        opaque = [k for k in _OPAQUE if place.has(k) and _APPLIES_TO.get(k, kind) == kind]
        found["opaque"] = frozenset(Opaque(keyword, place) for keyword in opaque)
        return Clause(type=kind, pointers=pointers, **found)

    def _items(self, place: Place, mode: Mode) -> tuple[Items, ...]:
        prefix, rest = "prefixItems", "items"
        if place.has("items") and isinstance(place.schema["items"], list):
            prefix, rest = "items", "additionalItems"
        elif place.resource.draft_7:
            prefix = ""
        inside = self.library.inside
        first: tuple[Element, ...] = ()
        if prefix and place.has(prefix):
            count = len(place.schema[prefix])
            first = tuple(Element(inside(place, prefix, i), mode) for i in range(count))
        last = Element(inside(place, rest), mode) if place.has(rest) else None
        found = [Items(first, last)] if first or last else []
        for keyword in _REGISTERS:
            if self._strict and place.has(keyword):
                found.append(Items((), Element(inside(place, keyword), Mode.POSSIBLE)))
        return tuple(found)

    def _members(self, place: Place, mode: Mode) -> dict[str, Any]:
        fields = Fields(
            self._map(place, "properties", mode), self._map(place, "patternProperties", mode)
        )
        rests = []
        if place.has("additionalProperties"):
            element = Element(self.library.inside(place, "additionalProperties"), mode)
            at = self.library.location(place, "additionalProperties")
            rests.append(Rest((fields,), element, at))
        described = (
            place.has("properties")
            or place.has("patternProperties")
            or (place.has("type") and "object" in _named_types(place))
        )
        return {
            "fields": (fields,) if fields.properties or fields.patterns else (),
            "rests": tuple(rests),
            "describes": described and mode is Mode.ASSERTED,
            "open": bool(rests),
        }

    def _map(self, place: Place, keyword: str, mode: Mode) -> dict[str, Element]:
        if not place.has(keyword):
            return {}
        return {
            name: Element(self.library.inside(place, keyword, name), mode)
            for name in place.schema[keyword]
        }

    def _unevaluated(self, clause: Clause, place: Place, mode: Mode) -> Clause:
        if clause.type != "object" or clause.open:
            return clause
        element = Element(self.library.inside(place, "unevaluatedProperties"), mode)
        at = self.library.location(place, "unevaluatedProperties")
        rest = Rest(
            clause.fields,
            element,
            at,
            possible=clause.possible,
            all_possible=clause.may_open,
        )
        return replace(clause, rests=(*clause.rests, rest), open=True)

    # ---- the keywords that apply other schemas to the same value

    def _in_place(self, place: Place, mode: Mode) -> Iterable[list[Clause]]:
        inside = self.library.inside
        if place.has("$ref"):
            yield self._of(Element(self.library.resolve(place), mode))
        for index in range(len(place.schema["allOf"]) if place.has("allOf") else 0):
            yield self._of(Element(inside(place, "allOf", index), mode))
        for keyword in ("anyOf", "oneOf"):
            if place.has(keyword):
                alternatives = [inside(place, keyword, i) for i in range(len(place.schema[keyword]))]
                yield self._alternatives(alternatives, mode, exclusive=keyword == "oneOf")
        if place.has("not"):
            yield self._without(inside(place, "not"))
        if place.has("if"):
            condition = inside(place, "if")
            holds = self._of(Element(condition, Mode.CONDITION))
            fails = self._without(condition)
            if place.has("then"):
                holds = self._meet(holds, self._of(Element(inside(place, "then"), mode)), place)
            if place.has("else"):
                fails = self._meet(fails, self._of(Element(inside(place, "else"), mode)), place)
            yield holds + fails
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name in place.schema[keyword] if place.has(keyword) else ():
                yield self._dependency(place, keyword, name, mode)

    def _alternatives(
        self, places: Sequence[Place], mode: Mode, *, exclusive: bool
    ) -> list[Clause]:
        lists = [self._of(Element(place, mode)) for place in places]
        found: list[Clause] = []
        for index, clauses in enumerate(lists):
            others = [i for i in range(len(lists)) if i != index]
            if exclusive:
                for other in others:
                    clauses = self._meet(clauses, self._without(places[other]), places[index])
            else:
                beside = self._possibly([c for other in others for c in lists[other]])
                clauses = self._meet(clauses, beside, places[index])
            found += clauses
        return found

    def _without(self, place: Place) -> list[Clause]:
        if isinstance(place.schema, bool):
            return [] if place.schema else _any()
        shape = frozenset({Element(place, Mode.CONDITION)})
        at = {"excluded": self.library.location(place)}
        return [
            Clause(type=c.type, values=c.values, excluded=(shape,), pointers=at) for c in _any()
        ]

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
                self.budget.spend()
                both = meet(a, b)
                if not is_void(both):
                    found.append(both)
        if len(found) > MAX_CLAUSES:
            at = "" if place is None else self.library.location(place)
            raise Undecidable(at, f"has more than {MAX_CLAUSES} alternatives")
        return found


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


def _any(pointer: str = "") -> list[Clause]:
    values = {"null": {"null": None}, "boolean": {"true": True, "false": False}}
    at = {"": pointer} if pointer else {}
    return [Clause(type=kind, values=values.get(kind), pointers=at) for kind in TYPES]


def _possible(clauses: Sequence[Clause]) -> dict[str, Any]:
    return {
        "possible": tuple(
            found
            for clause in clauses
            for found in (*clause.fields, *clause.possible, *_possible_rests(clause))
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


def _named_types(place: Place) -> set[str]:
    named = place.schema["type"]
    return {named} if isinstance(named, str) else set(named)


def _types(place: Place) -> list[str]:
    if not place.has("type"):
        return list(TYPES)
    named = {"number" if name == "integer" else name for name in _named_types(place)}
    return [kind for kind in TYPES if kind in named]


def _bound(inclusive: Any, exclusive: Any, choose: Any) -> tuple[float, bool] | None:
    bounds = [(b, x) for b, x in ((inclusive, False), (exclusive, True)) if b is not None]
    if len({bound for bound, _ in bounds}) == 1:
        return bounds[-1]
    return choose(bounds) if bounds else None


def _set_of(value: Any) -> frozenset[Any]:
    return frozenset() if value is None else frozenset({value})
