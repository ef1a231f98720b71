"""Find the texts of values in lines of JSON, byte for byte.

Of members with one name the last one counts, as in JSON.parse. msgspec refuses half a surrogate
pair, which JavaScript accepts; a line that has some is taken apart by the standard library.
"""

import json
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Final, TypeAlias

import msgspec

from app.exports.plan.pointers import index_of

Members: TypeAlias = dict[str, bytes]

_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_string: Final = msgspec.json.Decoder(str).decode
# Of CPython, though typeshed has neither: they read one value and say where it ends, which `json`
# offers for whole documents only.
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_BLANK: Final = " \t\r\n"


class _Container:
    """An object or an array taken apart, and the containers in it that were, too."""

    def __init__(self, parts: Members | list[bytes] | None) -> None:
        """Take the parts; None: the value is no container."""
        self._parts = parts
        self._within: dict[str, _Container] = {}

    def part(self, token: str) -> bytes | None:
        """Return the text of a member or an element, None if there is none."""
        if isinstance(self._parts, dict):
            return self._parts.get(token)
        index, parts = index_of(token), self._parts or ()
        return parts[index] if index is not None and index < len(parts) else None

    def within(self, token: str) -> "_Container":
        """Return what a member or an element is, taken apart once."""
        if token not in self._within:
            self._within[token] = _Container(_parts_of(self.part(token) or b""))
        return self._within[token]


def _parts_of(value: bytes) -> Members | list[bytes] | None:
    if value.startswith(b"{"):
        return members_of(value)
    return elements_of(value) if value.startswith(b"[") else None


class Line:
    """A line with an object, of which each container is taken apart once, if it is needed."""

    def __init__(self, text: bytes) -> None:
        """Take the object apart. Raises ValueError if it is none, or not JSON."""
        self.members = members_of(text)
        self._object = _Container(self.members)

    def value_at(self, tokens: tuple[str, ...]) -> bytes | None:
        """Return the text of a value, None if it is missing or null."""
        container = self._object
        for token in tokens[:-1]:
            container = container.within(token)
        value = container.part(tokens[-1])
        return None if value == b"null" else value


def members_of(text: bytes) -> Members:
    """Return the members of an object. Raises ValueError if it is none, or not JSON."""
    try:
        return {name: bytes(value) for name, value in _decode_object(text).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _scan_object(text.decode())


def elements_of(text: bytes) -> list[bytes]:
    """Return the elements of an array. Raises ValueError if it is none, or not JSON."""
    try:
        return [bytes(value) for value in _decode_array(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _scan_array(text.decode())


def string_of(text: bytes) -> str:
    """Return a string of JSON. Raises ValueError if it has no UTF-8."""
    try:
        return _decode_string(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("has half a surrogate pair, which has no UTF-8") from None


def _scan_object(text: str) -> Members:
    found: Members = {}
    at = _skip(text, _open(text, "{"))
    while text[at] != "}":
        name, at = scanstring(text, _expect(text, at, '"'))
        value, at = _value(text, _skip(text, _expect(text, _skip(text, at), ":")))
        found[name] = value
        at = _next(text, at, "}")
    return found


def _scan_array(text: str) -> list[bytes]:
    found: list[bytes] = []
    at = _skip(text, _open(text, "["))
    while text[at] != "]":
        value, at = _value(text, at)
        found.append(value)
        at = _next(text, at, "]")
    return found


def _value(text: str, at: int) -> tuple[bytes, int]:
    try:
        _, end = _scan(text, at)
    except (StopIteration, RecursionError):
        raise ValueError("is not JSON") from None
    return text[at:end].encode(), end


def _next(text: str, at: int, end: str) -> int:
    at = _skip(text, at)
    return at if text[at : at + 1] == end else _skip(text, _expect(text, at, ","))


def _open(text: str, bracket: str) -> int:
    return _expect(text, _skip(text, 0), bracket)


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError("is not JSON, or has another type")
    return at + 1


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANK and at < len(text):
        at += 1
    if at == len(text):
        raise ValueError("is not JSON")
    return at
