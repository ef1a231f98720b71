"""Find where two JSON documents differ, without rounding a number or reordering a byte.

Only results are read here, which V8 has written, and only where their hashes differ. Values keep
their bytes: the scanner says where a value ends, and nothing is made of it. Objects are equal
whatever the order of their members, arrays by position, strings by their characters, numbers by
their exact value (`1e2` is `100`; no float is involved). Of a member that is named twice the last
one counts, as for `JSON.parse`.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Final, NoReturn, TypeAlias

from msgspec import Struct

from app.schemas.pointers import escape_token

# Deeper values are compared as texts: their order of members and spelling of numbers count.
MAX_DEPTH: Final = 64
# Where a longer pointer would be needed, the value around that place is the difference.
MAX_POINTER_CHARS: Final = 500

_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
# A longer exponent is compared as text.
_MAX_EXPONENT_DIGITS: Final = 18


class Place(Struct, frozen=True, kw_only=True):
    """A place where two documents differ: a JSON pointer, and the bytes of both values there.

    None: there is no value on that side. The pointer may hold lone surrogates.
    """

    pointer: str
    before: bytes | None
    after: bytes | None


# A value: the text of its document, where it begins and where it ends. No copy is kept while a
# value is compared: of a deep document each level would hold another.
_Span: TypeAlias = tuple[str, int, int]


def changes_between(before: bytes, after: bytes, *, limit: int) -> list[Place]:
    """Return the first `limit` differences in the order of `before`; none: they are equal.

    Bytes that are not JSON in UTF-8, or are nested too deeply for the scanner, are equal only
    to themselves. Time grows with size times depth, and depth is bounded.
    """
    if before == after:
        return []
    try:
        found = list(islice(_walk("", _document(before), _document(after), depth=0), limit))
    except (ValueError, RecursionError):
        return [Place(pointer="", before=before, after=after)]
    return [
        Place(pointer=pointer, before=_encoded(old), after=_encoded(new))
        for pointer, old, new in found
    ]


def _walk(
    pointer: str, before: _Span, after: _Span, *, depth: int
) -> Iterator[tuple[str, _Span | None, _Span | None]]:
    if _text(before) == _text(after):
        return
    kind = before[0][before[1]]
    if kind != after[0][after[1]] or kind not in "{[" or depth == MAX_DEPTH:
        if depth == MAX_DEPTH or _scalar(_text(before)) != _scalar(_text(after)):
            yield pointer, before, after
        return
    for name, old, new in _members(before, after) if kind == "{" else _elements(before, after):
        inner = f"{pointer}/{name}"
        if len(inner) > MAX_POINTER_CHARS:
            if _differ(old, new, depth=depth + 1):
                yield pointer, before, after
                return
        elif old is None or new is None:
            yield inner, old, new
        else:
            yield from _walk(inner, old, new, depth=depth + 1)


def _differ(before: _Span | None, after: _Span | None, *, depth: int) -> bool:
    return before is None or after is None or any(_walk("", before, after, depth=depth))


def _members(before: _Span, after: _Span) -> Iterator[tuple[str, _Span | None, _Span | None]]:
    old, new = dict(_in_object(before)), dict(_in_object(after))
    for name in old | new:
        yield escape_token(name), old.get(name), new.get(name)


def _elements(before: _Span, after: _Span) -> Iterator[tuple[str, _Span | None, _Span | None]]:
    pairs = zip_longest(_in_array(before), _in_array(after))
    for index, (old, new) in enumerate(pairs):
        yield str(index), old, new


def _in_object(span: _Span) -> Iterator[tuple[str, _Span]]:
    text, start, _ = span
    position = _after_space(text, start + 1)
    while text[position] != "}":
        name, position = _DECODER.raw_decode(text, position)
        begin = _after_space(text, _after_space(text, position) + 1)
        end = _end_of(text, begin)
        yield name, (text, begin, end)
        position = _after_comma(text, end)


def _in_array(span: _Span) -> Iterator[_Span]:
    text, start, _ = span
    position = _after_space(text, start + 1)
    while text[position] != "]":
        end = _end_of(text, position)
        yield text, position, end
        position = _after_comma(text, end)


def _after_comma(text: str, position: int) -> int:
    position = _after_space(text, position)
    return _after_space(text, position + 1) if text[position] == "," else position


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None  # noqa: S101 - it matches the empty text
    return found.end()


def _scalar(text: str) -> object:
    """Return what a string, number or literal is equal by."""
    if text[0] == '"':
        return _DECODER.raw_decode(text)[0]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return (text,)
    sign, whole, fraction, exponent = number.groups("")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    significant = digits.rstrip("0")
    if len(exponent) > _MAX_EXPONENT_DIGITS:
        return (text,)
    power = int(exponent or "0") - len(fraction) + len(digits) - len(significant)
    return sign, significant, power


def _document(encoded: bytes) -> _Span:
    """Decode a document and check that it is one JSON value. Raises ValueError, RecursionError."""
    text = encoded.decode()
    start = _after_space(text, 0)
    end = _end_of(text, start)
    if _after_space(text, end) != len(text):
        raise ValueError
    return text, start, end


def _text(span: _Span) -> str:
    text, start, end = span
    return text[start:end]


def _encoded(span: _Span | None) -> bytes | None:
    return None if span is None else _text(span).encode()


def _nothing(_value: object) -> None:
    """Make nothing of a number or an object: only its end matters."""


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER: Final = json.JSONDecoder(
    parse_int=_nothing,
    parse_float=_nothing,
    parse_constant=_reject_constant,
    object_pairs_hook=_nothing,
)


def _end_of(text: str, start: int) -> int:
    return _DECODER.raw_decode(text, start)[1]
