"""Define JSON pointers: paths from a record to its key (RFC 6901)."""

import re
from typing import Any, Final

from msgspec import Struct

from app.datasets.parts.json_text import RawNumber
from app.datasets.parts.keys import encode_key

# An element after these is not a key: a decoder for it would need a field for each before it.
MAX_ELEMENT: Final = 255
# Each can cost a reader a pass over the rest of a record.
MAX_TOKENS: Final = 16
_UNUSABLE: Final = frozenset('"\\') | frozenset(map(chr, range(32)))


class Pointer(Struct, frozen=True):
    """The names of members, or numbers of elements, on the way to a record's key."""

    tokens: tuple[str, ...]


def parse_pointer(text: str) -> Pointer:
    """Parse a JSON pointer. Raises ValueError."""
    if text and not text.startswith("/"):
        raise ValueError("a JSON pointer is empty or begins with /")
    if re.search(r"~(?![01])", text):
        raise ValueError("in a JSON pointer, ~ is followed by 0 or 1")
    if _UNUSABLE & set(text):
        raise ValueError(
            "a JSON pointer to a key has no quotation marks, backslashes and control characters"
        )
    if text.count("/") > MAX_TOKENS:
        raise ValueError(f"a JSON pointer to a key has at most {MAX_TOKENS} members or elements")
    tokens = (each.replace("~1", "/").replace("~0", "~") for each in text.split("/")[1:])
    return Pointer(tuple(tokens))


def element_of(token: str) -> int | None:
    """Return the number of the element that a token names in an array, None if it names none."""
    # An index has no leading zero (RFC 6901).
    if not (token.isascii() and token.isdigit()) or (token[0] == "0" and len(token) > 1):
        return None
    return int(token) if len(token) <= len(str(MAX_ELEMENT)) and int(token) <= MAX_ELEMENT else None


def key_of(value: Any, pointer: Pointer) -> bytes | None:  # noqa: ANN401 - any JSON
    """Return the canonical key of a record from `parse_json`; None if it has none."""
    for token in pointer.tokens:
        if isinstance(value, dict):
            value = value.get(token)
        elif isinstance(value, list):
            element = element_of(token)
            value = value[element] if element is not None and element < len(value) else None
        else:
            return None
    return encode_key(value) if isinstance(value, RawNumber | str) else None
