"""Parse references to schemas and versions, such as `events`, `events@3` and `events@prod`."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from app.references import LATEST, Parser
from app.schemas.problems import SchemaNotFound, SchemaVersionNotFound

_PARSER: Final = Parser(
    "schema",
    SchemaNotFound,
    SchemaVersionNotFound,
    "GET /schemas",
    "GET /schemas/{}/versions/{}",
)


class SchemaRef(Struct, frozen=True, kw_only=True):
    """A reference to one version: `events`, `events@3`, `events@prod`; an id can be the name.

    `selector` is a version's number, an alias, or `latest`, the newest version.
    """

    schema: UUID | str
    selector: int | str = LATEST

    def __str__(self) -> str:
        """Return the reference as a client writes it."""
        return f"{self.schema}@{self.selector}"


def parse_schema_ref(text: str) -> SchemaRef:
    """Parse a reference. Raises SchemaNotFound or SchemaVersionNotFound for any other text."""
    subject, selector = _PARSER.reference(text)
    return SchemaRef(schema=subject, selector=selector)


# Version's number, alias or `latest`; SchemaVersionNotFound for any other text.
parse_selector: Final = _PARSER.selector
# Id or name; SchemaNotFound for any other text.
parse_schema: Final = _PARSER.subject
# Id, or a name for a new schema; InvalidRequest for any other text.
parse_new_schema: Final = _PARSER.new
