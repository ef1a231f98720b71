r"""Decode JSON whose strings may hold lone surrogates.

JavaScript's strings can hold half of a surrogate pair, which JSON writes as an escape such as
`\\ud800` and msgspec refuses to read.
"""

import re
from typing import Any, Final, TypeVar

from msgspec import UNSET, DecodeError, Raw, Struct, json
from msgspec.structs import fields, replace

T = TypeVar("T")

# Pairs and other escapes come first, so that what remains is a lone half.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)


def decode(content: bytes, shape: type[T]) -> T:
    """Decode JSON; a lone surrogate becomes the text of its escape.

    Raw members, which are promised to be exact, are then left out of a struct. Raises what
    msgspec raises.
    """
    try:
        return json.decode(content, type=shape)
    except DecodeError:
        readable = _ESCAPE.sub(_readable, content)
        if readable == content:
            raise
        return _without_raw(json.decode(readable, type=shape))


def _readable(escape: re.Match[bytes]) -> bytes:
    lone = escape["lone"]
    return escape[0] if lone is None else rb"\\" + lone


def _without_raw(value: T) -> T:
    if not isinstance(value, Struct):
        return value
    raw: dict[str, Any] = {
        each.name: UNSET
        for each in fields(value)
        if not each.required and isinstance(getattr(value, each.name), Raw)
    }
    return replace(value, **raw)
