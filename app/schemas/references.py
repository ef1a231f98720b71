"""Find the registered schemas that a document refers to."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn, TypeAlias

from msgspec import Struct

from app.limits import MAX_SCHEMA_BYTES
from app.references import NAME_PATTERN
from app.sandbox.schema_checks import URI_PREFIX
from app.schemas.document import escape_token

_URI: Final = re.compile(rf"{re.escape(URI_PREFIX)}([^@#]*)@([1-9][0-9]{{0,8}})(?:#.*)?", re.DOTALL)
_KEYWORDS: Final = ("$schema", "$ref", "$dynamicRef")
# The value around, and the token that leads from it.
_Way: TypeAlias = "tuple[_Way, str] | None"


class NotJson(Exception):
    """The document is not JSON, or is nested too deeply; the message says which."""


class Reference(Struct, frozen=True):
    """A text that begins as the URI of a registered schema does, and the version it names exactly.

    Both are None for any other text, such as one that names an alias.
    """

    pointer: str
    text: str
    name: str | None
    version: int | None


def find_references(document: bytes) -> list[Reference]:
    """Return what may refer to registered schemas. Raises NotJson.

    Only V8 knows which members are keywords: one of these may be part of an `enum`. So they are
    candidates for the closure; what does not resolve is found when V8 compiles the schema. Once
    the pointers have as many characters as a schema has bytes, only new texts follow, without one.
    """
    found: list[Reference] = []
    texts: set[str] = set()
    room = MAX_SCHEMA_BYTES
    for way, keyword, text in _keyword_texts(_parse(document)):
        if not text.startswith(URI_PREFIX) or (room <= 0 and text in texts):
            continue
        pointer = f"{_pointer(way)}/{keyword}" if room > 0 else ""
        room -= len(pointer)
        texts.add(text)
        found.append(_reference(pointer, text))
    return found


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


def _keyword_texts(root: object) -> Iterator[tuple["_Way", str, str]]:
    """Yield the way to each keyword, it and its text, in the order of the document."""
    # The way to a value as a linked list: pointers of all values would be much longer than they.
    waiting: list[tuple[_Way, object]] = [(None, root)]
    while waiting:
        way, value = waiting.pop()
        inner: Iterable[tuple[str, object]] = ()
        if isinstance(value, list):
            inner = ((str(index), each) for index, each in enumerate(value))
        elif isinstance(value, dict):
            for keyword in _KEYWORDS:
                text = value.get(keyword)
                if isinstance(text, str):
                    yield way, keyword, text
            inner = value.items()
        found = [((way, token), each) for token, each in inner if isinstance(each, list | dict)]
        waiting.extend(reversed(found))


def _pointer(way: "_Way") -> str:
    tokens = []
    while way is not None:
        way, token = way
        tokens.append(f"/{escape_token(token)}")
    return "".join(reversed(tokens))


def _reference(pointer: str, text: str) -> Reference:
    match = _URI.fullmatch(text)
    if match is None or re.match(NAME_PATTERN, match[1]) is None:
        return Reference(pointer, text, None, None)
    return Reference(pointer, text, match[1], int(match[2]))
