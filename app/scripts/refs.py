"""Parse references to scripts and versions, such as `cards`, `cards@3` and `cards@prod`."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from app.references import LATEST, Parser
from app.scripts.problems import ScriptNotFound, VersionNotFound

_PARSER: Final = Parser(
    "script",
    ScriptNotFound,
    VersionNotFound,
    "GET /scripts",
    "GET /scripts/{}/versions/{}",
)


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
    subject, selector = _PARSER.reference(text)
    return ScriptRef(script=subject, selector=selector)


# Version's number, alias or `latest`; VersionNotFound for any other text.
parse_selector: Final = _PARSER.selector
# Id or name; ScriptNotFound for any other text.
parse_script: Final = _PARSER.subject
# Id, or a name for a new script; InvalidRequest for any other text.
parse_new: Final = _PARSER.new
