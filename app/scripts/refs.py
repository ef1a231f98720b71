"""Parse references to scripts and versions, such as `cards`, `cards@3` and `cards@prod`."""

from uuid import UUID

from msgspec import Struct

from app.errors import InvalidRequest, clipped
from app.references import LATEST, Name, is_name, is_uuid, selector_in
from app.scripts.problems import ScriptNotFound, VersionNotFound
from app.wording import expected


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
    selector = selector_in(text)
    if selector is None:
        raise VersionNotFound(f"{clipped(text)!r} is neither a version's number nor an alias")
    return selector


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
