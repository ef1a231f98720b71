"""Take JSON pointers apart, and write those of members (RFC 6901)."""

import re
from typing import Final

from app.schemas.pointers import escape_token, unescape_token

_INDEX: Final = re.compile(r"0|[1-9][0-9]*")
# What DuckDB's paths give a meaning of their own.
_UNUSABLE: Final = frozenset('"\\*') | frozenset(map(chr, range(32)))


def tokens_of(pointer: str) -> tuple[str, ...]:
    """Return the names and indexes of a pointer."""
    return tuple(map(unescape_token, pointer.split("/")[1:]))


def pointer_to(name: str) -> str:
    """Return the pointer to a member of the root."""
    return f"/{escape_token(name)}"


def index_of(token: str) -> int | None:
    """Return the index of an array's element that a token names, None if it names none."""
    return int(token) if _INDEX.fullmatch(token) and len(token) < 10 else None  # noqa: PLR2004


def json_path(tokens: tuple[str, ...]) -> str | None:
    """Return DuckDB's path of a member, None if it has none that is certain.

    A token of digits names an element or a member, by what is there; a path names one of them.
    """
    if any(not token or index_of(token) is not None or _UNUSABLE & set(token) for token in tokens):
        return None
    return "$" + "".join(f'."{token}"' for token in tokens)
