"""Read the keywords of one schema that speak of one type of values."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from app.schemas.compatibility.budget import Budget
from app.schemas.compatibility.clauses import (
    TYPES,
    Clause,
    Element,
    Fields,
    Items,
    Mode,
    Opaque,
    Rest,
    canonical,
    meet,
    type_of,
)
from app.schemas.document import JsonValue
from app.schemas.library import At, Library, Place

ASSERTED_FORMATS: Final = frozenset(
    [
        "date-time",
        "date",
        "time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "uuid",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ]
)
_READ_IN_A_STEP: Final = 16
_OPAQUE: Final = ("propertyNames", "contains", "unevaluatedItems")
_APPLIES_TO: Final = {"propertyNames": "object", "contains": "array", "unevaluatedItems": "array"}
_REGISTERS: Final = ("contains", "unevaluatedItems")


class Keywords:
    """The keywords of the schemas of one version."""

    def __init__(self, library: Library, budget: Budget) -> None:
        """Remember which schemas are strict."""
        self.library = library
        self._budget = budget
        self._strict = frozenset(library.document.strict)

    def clauses(self, place: Place, mode: Mode) -> list[Clause]:
        """Return a clause for each type that a schema allows, without what others demand."""
        return self._with_values(place, [self._base(kind, place, mode) for kind in _types(place)])

    def _with_values(self, place: Place, clauses: list[Clause]) -> list[Clause]:
        for keyword in ("enum", "const"):
            if place.has(keyword):
                listed = place.schema[keyword] if keyword == "enum" else [place.schema["const"]]
                self._budget.spend(1 + len(listed) // _READ_IN_A_STEP)
                allowed: dict[str, dict[str, JsonValue]] = {}
                for value in listed:
                    allowed.setdefault(type_of(value), {})[canonical(value)] = value
                at = {"values": At(place, keyword)}
                clauses = [
                    meet(clause, Clause(type=clause.type, values=allowed[clause.type], origins=at))
                    for clause in clauses
                    if clause.type in allowed
                ]
        return clauses

    def _base(self, kind: str, place: Place, mode: Mode) -> Clause:
        def get(keyword: str, default: JsonValue = None) -> JsonValue:
            if not place.has(keyword):
                return default
            origins[keyword] = At(place, keyword)
            return place.schema[keyword]

        origins = {"": At(place)}
        if place.has("type"):
            origins["type"] = At(place, "type")
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
            found["max_size"] = _most_items(found["items"], found["max_size"])
        else:
            found["min_size"], found["max_size"] = get("minProperties", 0), get("maxProperties")
            found["required"] = frozenset(get("required", ()))
            found |= self._members(place, mode)
            if found["fields"] or "type" in origins:
                origins["object"] = At(place)
        found["hints"] = _set_of(get("format")) | _set_of(get("contentEncoding"))
        opaque = [k for k in _OPAQUE if place.has(k) and _APPLIES_TO.get(k, kind) == kind]
        found["opaque"] = frozenset(Opaque(keyword, place) for keyword in opaque)
        return Clause(type=kind, origins=origins, **found)

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
        registers = _REGISTERS if self._strict else ()
        found += [
            Items((), Element(inside(place, keyword), Mode.POSSIBLE))
            for keyword in registers
            if place.has(keyword)
        ]
        return tuple(found)

    def _members(self, place: Place, mode: Mode) -> dict[str, Any]:
        fields = Fields(
            self._map(place, "properties", mode), self._map(place, "patternProperties", mode)
        )
        rests = []
        if place.has("additionalProperties"):
            element = Element(self.library.inside(place, "additionalProperties"), mode)
            rests.append(Rest((fields,), element, At(place, "additionalProperties")))
        described = (
            place.has("properties")
            or place.has("patternProperties")
            or (place.has("type") and "object" in _named_types(place))
        )
        return {
            "fields": (fields,) if fields.properties or fields.patterns else (),
            "rests": tuple(rests),
            "describes": described and mode is Mode.ASSERTED and place.document in self._strict,
            "open": bool(rests),
        }

    def _map(self, place: Place, keyword: str, mode: Mode) -> dict[str, Element]:
        if not place.has(keyword):
            return {}
        return {
            name: Element(self.library.inside(place, keyword, name), mode)
            for name in place.schema[keyword]
        }

    def unevaluated(self, clause: Clause, place: Place, mode: Mode) -> Clause:
        """Add `unevaluatedProperties` to what a schema and those it applies demand."""
        if clause.type != "object" or clause.open:
            return clause
        element = Element(self.library.inside(place, "unevaluatedProperties"), mode)
        rest = Rest(
            clause.fields,
            element,
            At(place, "unevaluatedProperties"),
            possible=clause.possible,
            all_possible=clause.may_open,
        )
        return replace(clause, rests=(*clause.rests, rest), open=True)


def _named_types(place: Place) -> set[str]:
    named = place.schema["type"]
    return {named} if isinstance(named, str) else set(named)


def _types(place: Place) -> list[str]:
    if not place.has("type"):
        return list(TYPES)
    named = {"number" if name == "integer" else name for name in _named_types(place)}
    return [kind for kind in TYPES if kind in named]


def _most_items(items: Iterable[Items], declared: float | None) -> float | None:
    sizes = [] if declared is None else [declared]
    sizes += [len(i.first) for i in items if i.rest is not None and i.rest.place.schema is False]
    return min(sizes, default=None)


def _bound(
    inclusive: float | None, exclusive: float | None, choose: Callable[..., tuple[float, bool]]
) -> tuple[float, bool] | None:
    bounds = [(b, x) for b, x in ((inclusive, False), (exclusive, True)) if b is not None]
    if len({bound for bound, _ in bounds}) == 1:
        return bounds[-1]
    return choose(bounds) if bounds else None


def _set_of(value: JsonValue) -> frozenset[Any]:
    return frozenset() if value is None else frozenset({value})
