"""Parse references to schemas and versions, such as `events`, `events@3` and `events@prod`."""

from uuid import UUID

from msgspec import Struct

from app.errors import InvalidRequest, clipped
from app.references import LATEST, Name, is_name, is_uuid, selector_in
from app.schemas.problems import SchemaNotFound, SchemaVersionNotFound
from app.wording import expected


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
    schema, at, selector = text.partition("@")
    subject = parse_schema(schema)
    return SchemaRef(schema=subject, selector=parse_selector(selector) if at else LATEST)


def parse_selector(text: str) -> int | str:
    """Parse a version's number, an alias or `latest`. Raises SchemaVersionNotFound."""
    selector = selector_in(text)
    if selector is None:
        raise SchemaVersionNotFound(f"{clipped(text)!r} is neither a version's number nor an alias")
    return selector


def parse_schema(text: str) -> UUID | str:
    """Parse a schema's id or name. Raises SchemaNotFound for any other text."""
    if is_uuid(text):
        return UUID(text)
    if is_name(text):
        return text
    name, at, selector = text.partition("@")
    if at and (is_uuid(name) or is_name(name)):
        raise SchemaNotFound(
            f"{clipped(text)!r} names a version, and this route takes a schema, {name!r}; "
            f"GET /schemas/{name}/versions/{clipped(selector)} returns the version"
        )
    raise SchemaNotFound(
        f"{clipped(text)!r} is neither a schema's id nor a name; GET /schemas lists them"
    )


def parse_new_schema(text: str) -> UUID | str:
    """Parse a schema's id, or a name for a new schema. Raises InvalidRequest."""
    if not is_uuid(text) and not is_name(text):
        message = f"{clipped(text)!r} cannot name a schema: {expected(Name)}"
        raise InvalidRequest(message, errors=[{"pointer": "/schema", "message": message}])
    return parse_schema(text)
