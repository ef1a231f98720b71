"""Parse references to scripts and versions, such as `cards`, `cards@3` and `cards@prod`."""

import re
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.errors import InvalidRequest, clipped
from app.scripts.model import NAME_PATTERN, Name
from app.scripts.problems import ScriptNotFound, VersionNotFound
from app.wording import expected

LATEST: Final = "latest"

_ALIAS: Final = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")


class ScriptRef(Struct, frozen=True, kw_only=True):
    """A reference to one version: `cards`, `cards@3`, `cards@prod`; an id can replace the name.

    `selector` is a version's number, an alias, or `latest`, the newest version.
    """

    script: UUID | str
    selector: int | str = LATEST

    def __str__(self) -> str:
        """Return the reference as a client writes it."""
        return f"{self.script}@{self.selector}"


def parse_ref(text: str) -> ScriptRef:
    """Parse a reference. Raises ScriptNotFound or VersionNotFound for any other text."""
    script, at, selector = text.partition("@")
    subject = parse_script(script)
    return ScriptRef(script=subject, selector=parse_selector(selector) if at else LATEST)


def parse_selector(text: str) -> int | str:
    """Parse a version's number, an alias or `latest`. Raises VersionNotFound."""
    if _VERSION.fullmatch(text):
        return int(text)
    if _ALIAS.fullmatch(text):
        return text
    raise VersionNotFound(f"{clipped(text)!r} is neither a version's number nor an alias")


def parse_script(text: str) -> UUID | str:
    """Parse a script's id or name. Raises ScriptNotFound for any other text."""
    if is_uuid(text):
        return UUID(text)
    if is_name(text):
        return text
    name, at, selector = text.partition("@")
    if at and (is_uuid(name) or is_name(name)):
        raise ScriptNotFound(
            f"{clipped(text)!r} names a version, and this route takes a script, {name!r}; "
            f"GET /scripts/{name}/versions/{clipped(selector)} returns the version"
        )
    raise ScriptNotFound(
        f"{clipped(text)!r} is neither a script's id nor a name; GET /scripts lists them"
    )


def parse_new(text: str) -> UUID | str:
    """Parse a script's id, or a name for a new script. Raises InvalidRequest."""
    if not is_uuid(text) and not is_name(text):
        message = f"{clipped(text)!r} cannot name a script: {expected(Name)}"
        raise InvalidRequest(message, errors=[{"pointer": "/script", "message": message}])
    return parse_script(text)


def is_name(text: str) -> bool:
    """Return whether a text has the form of a name. UUIDs have it too, but are ids."""
    return re.match(NAME_PATTERN, text) is not None


def is_alias(text: str) -> bool:
    """Return whether a text can be an alias."""
    return _ALIAS.fullmatch(text) is not None and text != LATEST


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID in its canonical form, which no name may have."""
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None
