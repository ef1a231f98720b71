"""Define what names versions: names and ids, numbers and aliases, and how they are described."""

import re
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

LATEST: Final = "latest"

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
# PostgreSQL's text type stores every character but NUL.
Description = Annotated[str, Meta(max_length=4_000, pattern=r"^[^\x00]*$")]
Note = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00]*$")]

_ALIAS: Final = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Alias(Struct, frozen=True, kw_only=True):
    """A movable name for a version."""

    alias: str
    version: int
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Return the entity tag, which every move changes, even a move back."""
        return f'"{self.version}-{int(self.updated_at.timestamp() * 1_000_000)}"'


def selector_in(text: str) -> int | str | None:
    """Return the version's number, the alias or `latest` that a text is; None for any other."""
    if _VERSION.fullmatch(text):
        return int(text)
    return text if _ALIAS.fullmatch(text) else None


def is_name(text: str) -> bool:
    """Return whether a text has the form of a name. UUIDs have it too, but are ids."""
    return re.match(NAME_PATTERN, text) is not None


def is_alias(text: str) -> bool:
    """Return whether a text can be an alias."""
    return _ALIAS.fullmatch(text) is not None and text != LATEST


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID in its canonical form, which no name may have."""
    return _UUID.fullmatch(text) is not None
