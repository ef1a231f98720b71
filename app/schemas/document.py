"""Registered schemas as Python values, and where their references lead."""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from msgspec import Struct

from app.limits import MIB
from app.sandbox.schema_checks import URI_PREFIX
from app.schemas.drafts import KEYWORDS_7, KEYWORDS_2020
from app.schemas.uris import resolve_uri

JsonValue: TypeAlias = Any
"""What `json.loads` returns."""

DRAFT_7: Final = "http://json-schema.org/draft-07/schema"
DRAFT_2020_12: Final = "https://json-schema.org/draft/2020-12/schema"
_MAX_DEPTH: Final = 200
MAX_PLACES: Final = 50_000
"""Schemas inside one and its closure that are looked at."""
MAX_BYTES: Final = 2 * MIB
"""Of a schema and its closure that are read."""

# How a keyword's value holds schemas; names and values of other keywords hold none.
_ONE: Final = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LISTS: Final = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
_MAPS: Final = frozenset(
    ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"]
)


class SchemaProblem(Exception):
    """A schema cannot be read as a whole; carries where.

    Attributes:
        pointer: the place in the root document, or after ``URI#`` in another.
        message: what the matter is, without the pointer.
    """

    def __init__(self, pointer: str, message: str) -> None:
        """Keep both parts; the text of the exception begins with the pointer."""
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class SchemaDocument(Struct, frozen=True):
    """One version of a schema with everything that it refers to."""

    uri: str
    documents: Mapping[str, Any]
    """Parsed schemas by URI: the version itself and its closure."""
    strict: Collection[str]
    """The URIs of those whose objects refuse fields that no schema registers."""


def read_document(
    uri: str, texts: Mapping[str, bytes], *, strict: Collection[str]
) -> SchemaDocument:
    """Parse a version and its closure from their JSON texts, by URI.

    Numbers become what V8 makes of them: integers beyond 2**53 are rounded to doubles.

    Raises:
        SchemaProblem: a text nests too deep, has a number beyond those of doubles, or is no JSON;
            all are larger than `MAX_BYTES`.
    """
    if sum(map(len, texts.values())) > MAX_BYTES:
        raise SchemaProblem("", f"has more than {MAX_BYTES} bytes, with what it refers to")
    documents = {}
    for name, text in texts.items():
        try:
            documents[name] = json.loads(
                text, parse_int=_integer, parse_float=_double, parse_constant=_refuse_constant
            )
        except (ValueError, RecursionError) as error:
            where = "" if name == uri else f"{name}#"
            message = "is no JSON, nests too deep, or has a number that no double holds"
            raise SchemaProblem(where, message) from error
    return SchemaDocument(uri, documents, strict)


def _integer(digits: str) -> int | float:
    if len(digits) < len(str(2**53)):
        return int(digits)
    return int(_double(digits))


def _double(text: str) -> float:
    rounded = float(text)
    mantissa = text.lower().partition("e")[0]
    vanished = rounded == 0 and mantissa.strip("-0.") != ""
    if vanished or not math.isfinite(rounded):
        raise ValueError("the number is beyond those of doubles")
    return rounded


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


class Resource(Struct, eq=False):
    """A document, or a part of it with an ``$id`` of its own: what references start from."""

    base: str
    draft_7: bool = False
    foreign: bool = False
    """Whether a meta-schema of its own decides which keywords count."""
    root: "Place | None" = None
    anchors: dict[str, "Place"] = {}


class Place(Struct, frozen=True, eq=False):
    """A schema where it stands; each is one object, compared by identity."""

    schema: Any
    resource: Resource
    document: str
    pointer: str

    def has(self, keyword: str) -> bool:
        """Whether a keyword counts here: beside a ``$ref`` of draft 7, no other does."""
        schema = self.schema
        known = KEYWORDS_7 if self.resource.draft_7 else KEYWORDS_2020
        if not isinstance(schema, dict) or keyword not in schema or keyword not in known:
            return False
        return keyword == "$ref" or not (self.resource.draft_7 and "$ref" in schema)


class Library:
    """The places of a schema and its closure."""

    def __init__(self, document: SchemaDocument) -> None:
        """Index the identifiers of all documents.

        Raises:
            SchemaProblem: a schema nests too deep.
        """
        self.document = document
        self._resources: dict[str, Resource] = {}
        self._places: dict[tuple[str, str], Place] = {}
        for uri, schema in document.documents.items():
            resource = _resource(uri, schema, None)
            self._resources[uri] = resource
            resource.root = self._scan(schema, resource, uri, "")

    def root(self) -> Place:
        """Return the place of the schema itself.

        Raises:
            SchemaProblem: there is no document of its URI.
        """
        root = self._places.get((self.document.uri, ""))
        if root is None:
            raise SchemaProblem("", f"there is no document {self.document.uri}")
        return root

    def inside(self, place: Place, *tokens: str | int) -> Place:
        """Return the schema at these members and items of another, which must exist."""
        value = place.schema
        pointer = place.pointer
        for token in tokens:
            value = value[token]
            pointer += f"/{escape_token(str(token))}"
        known = self._places.get((place.document, pointer))
        if known is None:
            known = Place(value, place.resource, place.document, pointer)
            self._places[place.document, pointer] = known
        return known

    def resolve(self, place: Place) -> Place:
        """Return where the ``$ref`` of a place leads.

        Raises:
            SchemaProblem: it leads to nothing that is registered here.
        """
        reference = place.schema["$ref"]
        uri, fragment = resolve_uri(place.resource.base, reference)
        resource = self._resources.get(uri)
        target = unquote(fragment)
        found: Place | None = None
        if resource is not None and resource.root is not None:
            if not target:
                found = resource.root
            elif target.startswith("/"):
                found = self._walk(resource.root, target)
            else:
                found = resource.anchors.get(target)
        if found is None:
            raise SchemaProblem(
                self.location(place, "$ref"), f"refers to {reference}, which is not registered"
            )
        return found

    def location(self, place: Place, *tokens: str | int) -> str:
        """Return the pointer of a place, after ``URI#`` in another document than the root's."""
        tail = "".join(f"/{escape_token(str(token))}" for token in tokens)
        start = "" if place.document == self.document.uri else f"{place.document}#"
        return f"{start}{place.pointer}{tail}"

    def _walk(self, root: Place, pointer: str) -> Place | None:
        place = root
        value = root.schema
        at = root.pointer
        for token in map(unescape_token, pointer[1:].split("/")):
            if isinstance(value, list) and token.isdecimal() and int(token) < len(value):
                value = value[int(token)]
            elif isinstance(value, dict) and token in value:
                value = value[token]
            else:
                return None
            at += f"/{escape_token(token)}"
            place = self._places.get((root.document, at), place)
        if not isinstance(value, dict | bool):
            return None
        known = self._places.get((root.document, at))
        return known or self._scan(value, place.resource, root.document, at)

    def _scan(self, schema: JsonValue, outer: Resource, document: str, pointer: str) -> Place:
        if len(self._places) >= MAX_PLACES:
            raise SchemaProblem("", f"has more than {MAX_PLACES} schemas, with what it refers to")
        if pointer.count("/") > _MAX_DEPTH:
            raise SchemaProblem(pointer, f"nests more than {_MAX_DEPTH} deep")
        resource = self._resource(schema, outer, document, pointer)
        place = Place(schema, resource, document, pointer)
        self._places[document, pointer] = place
        if resource.root is None:
            resource.root = place
        if isinstance(schema, dict):
            for anchor in _anchors(schema, draft_7=resource.draft_7):
                resource.anchors.setdefault(anchor, place)
            for tail, inner in inner_schemas(schema):
                self._scan(inner, resource, document, f"{pointer}{tail}")
        return place

    def _resource(
        self, schema: JsonValue, outer: Resource, document: str, pointer: str
    ) -> Resource:
        named = schema.get("$id") if isinstance(schema, dict) else None
        hidden = outer.draft_7 and isinstance(schema, dict) and "$ref" in schema
        if not isinstance(named, str) or hidden or named.startswith("#"):
            return outer
        uri, _ = resolve_uri(outer.base, named)
        if uri != document and uri.startswith(URI_PREFIX):
            raise SchemaProblem(f"{pointer}/$id", f"{uri} is the place of another schema")
        if pointer == "":
            self._resources.setdefault(uri, outer)
            outer.base = uri
            return outer
        return self._resources.setdefault(uri, _resource(uri, schema, outer))


def _resource(uri: str, schema: JsonValue, outer: Resource | None) -> Resource:
    named = schema.get("$schema") if isinstance(schema, dict) else None
    if not isinstance(named, str):
        return Resource(uri, outer.draft_7, outer.foreign) if outer else Resource(uri)
    # Draft 7 is written with an empty fragment.
    draft = named.rstrip("#")
    return Resource(uri, draft == DRAFT_7, draft not in {DRAFT_7, DRAFT_2020_12})


def _anchors(schema: dict[str, Any], *, draft_7: bool) -> Iterator[str]:
    if draft_7:
        named = schema.get("$id")
        if isinstance(named, str) and "#" in named and "$ref" not in schema:
            yield named.partition("#")[2]
        return
    for keyword in ("$anchor", "$dynamicAnchor"):
        if isinstance(schema.get(keyword), str):
            yield schema[keyword]


def inner_schemas(schema: dict[str, Any]) -> Iterator[tuple[str, JsonValue]]:
    """Yield the schemas directly inside one, each with its pointer from there."""
    for keyword, held in schema.items():
        if keyword in _LISTS and isinstance(held, list):
            for index, inner in enumerate(held):
                yield f"/{keyword}/{index}", inner
        elif keyword in _MAPS and isinstance(held, dict):
            for name, inner in held.items():
                if isinstance(inner, dict | bool):
                    yield f"/{keyword}/{escape_token(name)}", inner
        elif keyword in _ONE and isinstance(held, dict | bool):
            yield f"/{keyword}", held


def escape_token(token: str) -> str:
    """Write a member's name as a token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape_token(token: str) -> str:
    """Read a token of a JSON pointer (RFC 6901)."""
    return token.replace("~1", "/").replace("~0", "~")
