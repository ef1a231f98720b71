"""Define what names versions: names and ids, numbers and aliases, and how they are described."""

import re
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from app.errors import InvalidRequest, Problem, clipped, invalid
from app.wording import expected

LATEST: Final = "latest"

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
# `/scripts/check` and `/schemas/check` are routes, so nothing there can have this name.
_RESERVED_NAMES: Final = frozenset({"check"})
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


class Parser(Struct, frozen=True):
    """Parses references to the resources of one kind, such as `script`, and to their versions."""

    noun: str
    not_found: type[Problem]
    version_not_found: type[Problem]
    # What lists the resources, and what shows a version, given a name and a selector.
    listed: str
    shown: str

    def reference(self, text: str) -> tuple[UUID | str, int | str]:
        """Parse a reference to its subject and selector. Raises a 404 for any other text."""
        name, at, selector = text.partition("@")
        subject = self.subject(name)
        return subject, self.selector(selector) if at else LATEST

    def selector(self, text: str) -> int | str:
        """Parse a version's number, an alias or `latest`. Raises `version_not_found`."""
        if _VERSION.fullmatch(text):
            return int(text)
        if _ALIAS.fullmatch(text):
            return text
        raise self.version_not_found(
            f"{clipped(text)!r} is neither a version's number nor an alias"
        )

    def subject(self, text: str) -> UUID | str:
        """Parse an id or a name. Raises `not_found` for any other text."""
        if is_uuid(text):
            return UUID(text)
        if is_name(text):
            return text
        name, at, selector = text.partition("@")
        if at and (is_uuid(name) or is_name(name)):
            shown = self.shown.format(name, clipped(selector))
            raise self.not_found(
                f"{clipped(text)!r} names a version, and this route takes a {self.noun}, {name!r}; "
                f"{shown} returns the version"
            )
        raise self.not_found(
            f"{clipped(text)!r} is neither a {self.noun}'s id nor a name; {self.listed} lists them"
        )

    def new(self, text: str) -> UUID | str:
        """Parse an id, or a name for a new one. Raises InvalidRequest."""
        if not is_uuid(text) and not is_name(text):
            message = f"{clipped(text)!r} cannot name a {self.noun}: {expected(Name)}"
            raise InvalidRequest(message, errors=[{"pointer": f"/{self.noun}", "message": message}])
        return self.subject(text)


def require_free_name(name: str, *, pointer: str) -> None:
    """Refuse a name for what is new that would be a route, or an id. Raises InvalidRequest."""
    if name in _RESERVED_NAMES:
        raise invalid(pointer, f"{name!r} is the name of a route")
    if is_uuid(name):
        raise invalid(pointer, "a name cannot look like an id")


def id_or_name(subject: UUID | str) -> tuple[UUID | None, str | None]:
    """Return the parameters of a statement that finds a row by its id or its name."""
    return (subject, None) if isinstance(subject, UUID) else (None, subject)


def number_or_alias(selector: int | str) -> tuple[int | None, str | None]:
    """Return the parameters of a statement that finds a version by its number or its alias."""
    return (selector, None) if isinstance(selector, int) else (None, selector)


def is_name(text: str) -> bool:
    """Return whether a text has the form of a name. UUIDs have it too, but are ids."""
    return re.match(NAME_PATTERN, text) is not None


def is_alias(text: str) -> bool:
    """Return whether a text can be an alias."""
    return _ALIAS.fullmatch(text) is not None and text != LATEST


def parse_id(text: str, noun: str, not_found: type[Problem], *, listed: str) -> UUID:
    """Parse an id, such as that of `a run`, which `listed` lists. Raises `not_found`."""
    if not is_uuid(text):
        raise not_found(f"{text!r} is not the id of {noun}; {listed} lists them")
    return UUID(text)


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID in its canonical form, which no name may have."""
    return _UUID.fullmatch(text) is not None
