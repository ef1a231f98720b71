"""Define the problems that requests for schemas can end in."""

from uuid import UUID

from app.errors import Problem


class SchemaNotFound(Problem):
    """No schema of this tenant has this id or name."""

    status = 404
    code = "schema-not-found"
    title = "There is no such schema"


class SchemaVersionNotFound(Problem):
    """The schema has no such version or alias."""

    status = 404
    code = "schema-version-not-found"
    title = "The schema has no such version"


class SchemaArchived(Problem):
    """The schema is archived: it can be read, but nothing new refers to it, and it stays as is."""

    status = 409
    code = "schema-archived"
    title = "The schema is archived"


class InvalidSchema(Problem):
    """The schema has errors; `errors` has each with its place in the schema."""

    status = 422
    code = "invalid-schema"
    title = "The schema has errors"


class SchemaTooLarge(Problem):
    """The schema, or all that it refers to, exceeds a limit."""

    status = 413
    code = "schema-too-large"
    title = "The schema is too large"


class IncompatibleSchema(Problem):
    """The schema demands a compatibility that its new version has not."""

    status = 409
    code = "incompatible-schema"
    title = "The version is not compatible with the one before"


class ValidationFailed(Problem):
    """A document could not be validated: it is no JSON, or a limit was reached; `errors` says."""

    status = 422
    code = "validation-failed"
    title = "The document cannot be validated"


class DocumentTooLarge(Problem):
    """A line exceeds the limit of a document."""

    status = 413
    code = "document-too-large"
    title = "A document is too large"


class SchemaBusy(Problem):
    """Others have changed the schema again and again while this version was checked."""

    status = 409
    code = "schema-busy"
    title = "The schema is being changed"


class TooManySchemas(Problem):
    """More schemas have names with this prefix than can be chosen from."""

    status = 422
    code = "too-many-schemas"
    title = "There are too many schemas to choose from"


class NoTableType(Problem):
    """A part of the schema has no type in a table; `errors` has its place and why not."""

    status = 422
    code = "no-table-type"
    title = "The schema is no table"


def schema_not_found(schema: UUID | str) -> SchemaNotFound:
    """Name a missing schema."""
    return SchemaNotFound(f"no schema {str(schema)!r}; GET /schemas lists them")


def schema_version_not_found(schema: str, selector: int | str) -> SchemaVersionNotFound:
    """Name a missing version or alias."""
    address = f"/schemas/{schema}/{'versions' if isinstance(selector, int) else 'aliases'}"
    return SchemaVersionNotFound(
        f"the schema {schema!r} has no version {selector!r}; GET {address} lists them"
    )


def schema_archived(schema: UUID | str, consequence: str) -> SchemaArchived:
    """Say that a schema is archived, what follows from it, and how to restore the schema."""
    return SchemaArchived(
        f"the schema {str(schema)!r} is archived and {consequence}; PATCH /schemas/{schema} with "
        '{"archived": false} takes it out of the archive'
    )
