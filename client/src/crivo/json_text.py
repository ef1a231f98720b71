r"""Decode JSON whose strings may hold lone surrogates.

JavaScript's strings can hold half of a surrogate pair, which JSON writes as an escape such as
`\\ud800` and msgspec refuses to read.
"""

import re
from typing import Final, TypeVar, cast

from msgspec import UNSET, DecodeError, Raw, Struct, json
from msgspec.structs import fields, replace

T = TypeVar("T")

# Pairs and other escapes come first, so that what remains is a lone half.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)

# Stands for a lone half in Raw: a private character, by which it can be found again.
_PRIVATE: Final = re.compile(rb"\\(?P<lone>u[eE][0-9a-dA-D][0-9a-fA-F]{2})|\\.")
_HALVES: Final = b"89abcdefABCDEF"
_STAND_INS: Final = b"0123456789abcd"
_TO_PRIVATE: Final = bytes.maketrans(b"dD", b"eE"), bytes.maketrans(_HALVES, _STAND_INS)
_FROM_PRIVATE: Final = bytes.maketrans(b"eE", b"dD"), bytes.maketrans(_STAND_INS, _HALVES)


def decode(content: bytes, shape: type[T]) -> T:
    """Decode JSON; a lone surrogate becomes the text of its escape, and Raw stays exact.

    Raises DecodeError, also for text that is not UTF-8, and ValidationError.
    """
    try:
        return _decoded(content, shape)
    except UnicodeDecodeError as error:
        raise DecodeError(f"the text is not UTF-8: {error}") from None


def _decoded(content: bytes, shape: type[T]) -> T:
    try:
        return json.decode(content, type=shape)
    except DecodeError:
        readable = _ESCAPE.sub(_readable, content)
        if readable == content:
            raise
        exact = None
        if not any(each["lone"] for each in _PRIVATE.finditer(content)):
            exact = json.decode(_ESCAPE.sub(_hidden, content), type=shape)
        return cast(T, _merged(json.decode(readable, type=shape), exact))


def _readable(escape: re.Match[bytes]) -> bytes:
    lone = escape["lone"]
    return escape[0] if lone is None else rb"\\" + lone


def _hidden(escape: re.Match[bytes]) -> bytes:
    return _translated(escape, _TO_PRIVATE)


def _shown(escape: re.Match[bytes]) -> bytes:
    return _translated(escape, _FROM_PRIVATE)


def _translated(escape: re.Match[bytes], tables: tuple[bytes, bytes]) -> bytes:
    """Translate the first two digits of an escape that is a lone half or stands for one."""
    lone = escape["lone"]
    if lone is None:
        return escape[0]
    return rb"\u" + lone[1:2].translate(tables[0]) + lone[2:3].translate(tables[1]) + lone[3:]


def _merged(value: object, exact: object) -> object:
    """Return a decoded value with Raw from a second one; without one, Raw is left out."""
    if isinstance(value, Struct):
        return replace(
            value,
            **{
                each.name: _merged(getattr(value, each.name), getattr(exact, each.name, None))
                for each in fields(value)
            },
        )
    if isinstance(value, list):
        others = exact if isinstance(exact, list) else [None] * len(value)
        return [_merged(mine, other) for mine, other in zip(value, others, strict=True)]
    if isinstance(value, Raw):
        # A document that has such private characters itself is too rare to be worth more.
        return Raw(_PRIVATE.sub(_shown, bytes(exact))) if isinstance(exact, Raw) else UNSET
    return value
