"""Read JSON pointers to what an export takes from records (RFC 6901)."""

import re
from typing import Final

from app.errors import clipped, invalid
from app.exports.plan.pointers import tokens_of

MAX_TOKENS: Final = 16
_ESCAPE: Final = re.compile(r"~(?![01])")


def checked_tokens(pointer: str, place: str) -> tuple[str, ...]:
    """Return the names on the way to a value; `place` is where the request has the pointer.

    Raises InvalidRequest.
    """
    if not pointer.startswith("/"):
        raise invalid(place, f"{clipped(pointer)!r} is not a JSON pointer, which begins with /")
    if _ESCAPE.search(pointer):
        raise invalid(place, "in a JSON pointer, ~ is followed by 0 or 1")
    if any(character < " " for character in pointer):
        raise invalid(place, "has a control character")
    tokens = tokens_of(pointer)
    if len(tokens) > MAX_TOKENS:
        raise invalid(place, f"has more than {MAX_TOKENS} members or elements")
    return tokens
