"""The schemas inside a registered one and its closure, and where their references lead."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct

from app.limits import MIB
from app.schemas.document import JsonValue, SchemaDocument, SchemaProblem
from app.schemas.drafts import DRAFT_7, DRAFT_2020_12, KEYWORDS_7, KEYWORDS_2020, inner_schemas
from app.schemas.pointers import Way, unescape_token
from app.schemas.uris import is_reserved, resolve_uri

MAX_PLACES: Final = 50_000
"""Schemas inside one and its closure that are looked at."""
MAX_DEPTH: Final = 200
"""Tokens of the pointer to a schema."""
MAX_URI_CHARACTERS: Final = 2 * MIB
"""Of all resources together: each URI repeats those around it."""
MAX_POINTER: Final = 1_000
"""Characters of a pointer that is shown."""
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


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
    way: Way

    def has(self, keyword: str) -> bool:
        """Whether a keyword counts here: beside a ``$ref`` of draft 7, no other does."""
        schema = self.schema
        known = KEYWORDS_7 if self.resource.draft_7 else KEYWORDS_2020
        if not isinstance(schema, dict) or keyword not in schema or keyword not in known:
            return False
        return keyword == "$ref" or not (self.resource.draft_7 and "$ref" in schema)


class At(Struct, frozen=True):
    """A place, or a keyword of its schema: written as a pointer only where one is shown."""

    place: Place
    keyword: str | None = None


class Library:
    """The places of a schema and its closure."""

    def __init__(self, document: SchemaDocument) -> None:
        """Index the identifiers of the schema itself; others follow when a reference leads there.

        Raises:
            SchemaProblem: there is no document of its URI, or it exceeds a limit.
        """
        self.document = document
        self._resources: dict[str, Resource] = {}
        self._uri_characters = 0
        # Each way is one object, so that it finds its place.
        self._ways: dict[tuple[Way, str | int], Way] = {}
        self._places: dict[Way, Place] = {}
        resource = self._add(document.uri)
        if resource is None or resource.root is None:
            raise SchemaProblem("", f"there is no document {document.uri}")
        self._root = resource.root

    def root(self) -> Place:
        """Return the place of the schema itself."""
        return self._root

    def inside(self, place: Place, *tokens: str | int) -> Place:
        """Return the schema at these members and items of another, which must exist."""
        value = place.schema
        way = place.way
        for token in tokens:
            value = value[token]
            way = self._way(way, token)
        known = self._places.get(way)
        return known or self._keep(Place(value, place.resource, place.document, way))

    def resolve(self, place: Place) -> Place:
        """Return where the ``$ref`` of a place leads.

        Raises:
            SchemaProblem: it leads to nothing that is registered here, or a limit is exceeded.
        """
        reference = place.schema["$ref"]
        uri, fragment = resolve_uri(place.resource.base, reference)
        resource = self._resources.get(uri) or self._add(uri)
        target = _decoded(fragment)
        found: Place | None = None
        if resource is not None and resource.root is not None:
            if not target:
                found = resource.root
            elif target.startswith("/"):
                found = self._walk(resource.root, target)
            else:
                found = resource.anchors.get(target)
        if found is None:
            shown = reference if len(reference) <= MAX_POINTER else f"{reference[:MAX_POINTER]}…"
            raise SchemaProblem(
                self.location(At(place, "$ref")), f"refers to {shown}, which is not registered"
            )
        return found

    def location(self, at: At) -> str:
        """Return the pointer of a place, after ``URI#`` in another document than the root's."""
        start = "" if at.place.document == self.document.uri else f"{at.place.document}#"
        tail = () if at.keyword is None else (at.keyword,)
        return start + at.place.way.pointer(*tail, max_characters=MAX_POINTER)

    def _add(self, uri: str) -> Resource | None:
        """Index a document, as the validator does: when the first reference leads there."""
        if uri not in self.document.documents:
            return None
        schema = self.document.documents[uri]
        resource = _new_resource(uri, schema, None)
        self._resources[uri] = resource
        resource.root = self._scan(schema, resource, uri, Way())
        return resource

    def _way(self, outer: Way, token: str | int) -> Way:
        known = self._ways.get((outer, token))
        if known is None:
            known = self._ways[outer, token] = outer.into(token)
        return known

    def _keep(self, place: Place) -> Place:
        if len(self._places) >= MAX_PLACES:
            raise SchemaProblem("", f"has more than {MAX_PLACES} schemas, with what it refers to")
        self._places[place.way] = place
        return place

    def _walk(self, root: Place, pointer: str) -> Place | None:
        place = root
        value = root.schema
        way = root.way
        for token in map(unescape_token, pointer[1:].split("/")):
            if isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
                value = value[int(token)]
                way = self._way(way, int(token))
            elif isinstance(value, dict) and token in value:
                value = value[token]
                way = self._way(way, token)
            else:
                return None
            place = self._places.get(way, place)
        if not isinstance(value, dict | bool):
            return None
        known = self._places.get(way)
        return known or self._scan(value, place.resource, root.document, way)

    def _scan(self, schema: JsonValue, outer: Resource, document: str, way: Way) -> Place:
        if way.depth > MAX_DEPTH:
            pointer = way.pointer(max_characters=MAX_POINTER)
            raise SchemaProblem(pointer, f"nests more than {MAX_DEPTH} deep")
        resource = self._resource(schema, outer, document, way)
        place = self._keep(Place(schema, resource, document, way))
        if resource.root is None:
            resource.root = place
        if isinstance(schema, dict):
            for anchor in _anchors(schema, draft_7=resource.draft_7):
                resource.anchors.setdefault(anchor, place)
            for tokens, inner in inner_schemas(schema, draft_7=resource.draft_7):
                inner_way = way
                for token in tokens:
                    inner_way = self._way(inner_way, token)
                self._scan(inner, resource, document, inner_way)
        return place

    def _resource(self, schema: JsonValue, outer: Resource, document: str, way: Way) -> Resource:
        named = schema.get("$id") if isinstance(schema, dict) else None
        hidden = outer.draft_7 and isinstance(schema, dict) and "$ref" in schema
        if not isinstance(named, str) or hidden or named.startswith("#"):
            return outer
        uri, _ = resolve_uri(outer.base, named)
        self._uri_characters += len(uri)
        if self._uri_characters > MAX_URI_CHARACTERS:
            message = f"the URIs of all $id have more than {MAX_URI_CHARACTERS} characters"
            raise SchemaProblem("", message)
        taken = self._resources.get(uri, outer)
        reserved = is_reserved(uri) or uri in self.document.documents
        if taken is not outer or (uri != document and reserved):
            pointer = way.pointer("$id", max_characters=MAX_POINTER)
            raise SchemaProblem(pointer, "is the place of another schema")
        if way.depth == 0:
            resource = outer
            resource.base = uri
        else:
            resource = _new_resource(uri, schema, outer)
        self._resources[uri] = resource
        return resource


def _new_resource(uri: str, schema: JsonValue, outer: Resource | None) -> Resource:
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


def _decoded(fragment: str) -> str:
    """Decode a fragment; one with a broken escape stays as it is, as the validator has it."""
    if _NO_ESCAPE.search(fragment):
        return fragment
    try:
        return unquote(fragment, errors="strict")
    except UnicodeDecodeError:
        return fragment
