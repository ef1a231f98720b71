"""Find the registered schemas that a document refers to."""

import json
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final, NoReturn

from msgspec import Struct

from app.limits import MAX_SCHEMA_BYTES
from app.references import NAME_PATTERN
from app.sandbox.schema_checks import URI_PREFIX
from app.schemas.drafts import DATA, MAPS, SCHEMAS
from app.schemas.pointers import Way

_URI: Final = re.compile(rf"{re.escape(URI_PREFIX)}([^@#]*)@([1-9][0-9]{{0,8}})(?:#.*)?", re.DOTALL)
# What resolves to such a URI against that of the schema itself.
_RELATIVE: Final = re.compile(r"[^:/?#@]+@[^:/?#@]+(?:#.*)?", re.DOTALL)
_KEYWORDS: Final = ("$schema", "$ref", "$dynamicRef")


class _Kind(Enum):
    """What a value is by the keywords around it."""

    SCHEMA = auto()
    """A schema, or a list of some."""
    MAP = auto()
    """Schemas by names."""
    UNKNOWN = auto()
    """Below a keyword that holds no schemas: a pointer may lead there."""


class NotJson(Exception):
    """The document is not JSON, or is nested too deeply; the message says which."""


class Reference(Struct, frozen=True):
    """A text that may be meant for a registered schema, and the version that it names exactly.

    Both are None for any other text, such as one that names an alias, or `events@3`.
    """

    pointer: str
    text: str
    name: str | None
    version: int | None


def find_references(document: bytes) -> list[Reference]:
    """Return what may refer to registered schemas. Raises NotJson.

    What stands in `enum`, `const`, `default` and `examples` is data. Below unknown keywords, only
    V8 knows which members are keywords. So these are candidates for the closure; what does not
    resolve is found when V8 compiles the schema. Once the pointers have as many characters as a
    schema has bytes, only new texts follow, without one.
    """
    found: list[Reference] = []
    texts: set[str] = set()
    room = MAX_SCHEMA_BYTES
    for way, keyword, text in _keyword_texts(_parse(document)):
        if not _is_candidate(text) or (room <= 0 and text in texts):
            continue
        pointer = way.pointer(keyword) if room > 0 else ""
        room -= len(pointer)
        texts.add(text)
        found.append(_reference(pointer, text))
    return found


def _is_candidate(text: str) -> bool:
    return text.startswith(URI_PREFIX) or _RELATIVE.fullmatch(text) is not None


def _parse(document: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        # Numbers stay texts: Python limits their length, JSON does not.
        return json.loads(
            document.decode(), parse_int=str, parse_float=str, parse_constant=_reject_constant
        )
    except RecursionError:
        raise NotJson("is nested too deeply") from None
    except ValueError as error:
        raise NotJson(f"is not JSON: {error}") from None


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"there is no {constant}")


def _keyword_texts(root: object) -> Iterator[tuple[Way, str, str]]:
    """Yield the way to each schema, a keyword of it and its text, in the order of the document."""
    waiting: list[tuple[Way, object, _Kind]] = [(Way(), root, _Kind.SCHEMA)]
    while waiting:
        way, value, kind = waiting.pop()
        inner: list[tuple[Way, object, _Kind]] = []
        if isinstance(value, list):
            inner = [
                (way.into(index), each, kind)
                for index, each in enumerate(value)
                if isinstance(each, list | dict)
            ]
        elif isinstance(value, dict):
            for keyword in _KEYWORDS if kind is not _Kind.MAP else ():
                text = value.get(keyword)
                if isinstance(text, str):
                    yield way, keyword, text
            inner = [
                (way.into(name), each, _kind_inside(kind, name))
                for name, each in value.items()
                if isinstance(each, list | dict) and not (kind is _Kind.SCHEMA and name in DATA)
            ]
        waiting.extend(reversed(inner))


def _kind_inside(kind: _Kind, name: str) -> _Kind:
    match kind:
        case _Kind.MAP:
            return _Kind.SCHEMA
        case _Kind.SCHEMA if name in MAPS:
            return _Kind.MAP
        case _Kind.SCHEMA if name in SCHEMAS:
            return _Kind.SCHEMA
        case _:
            return _Kind.UNKNOWN


def _reference(pointer: str, text: str) -> Reference:
    match = _URI.fullmatch(text)
    if match is None or re.match(NAME_PATTERN, match[1]) is None:
        return Reference(pointer, text, None, None)
    return Reference(pointer, text, match[1], int(match[2]))
