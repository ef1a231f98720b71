"""Document the routes of schemas for OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.check_turns import CheckBusy, TooManyChecks
from app.http.conditions import DESCRIBED, DESCRIBED_ANY
from app.http.openapi import ANY_JSON, RAW_TEXT, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.quota_problems import quota_problem
from app.http.undeclared import not_evaluated
from app.outages import DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.preconditions import PreconditionFailed
from app.quotas.errors import QuotaExceeded
from app.references import Alias, Name
from app.schemas.model import (
    CheckedSchema,
    CheckSchema,
    DescribeSchema,
    MoveSchemaAlias,
    PutSchema,
    Schema,
    SchemaVersion,
    ValidatedDocument,
)
from app.schemas.problems import (
    DocumentTooLarge,
    IncompatibleSchema,
    InvalidSchema,
    SchemaArchived,
    SchemaBusy,
    SchemaNotFound,
    SchemaTooLarge,
    SchemaVersionNotFound,
    ValidationFailed,
)

NDJSON: Final = "application/x-ndjson"

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
_PARAMETERS: Final = {
    "schema": "the schema's name, or its id",
    "number": "the version's number (1, 2, 3 …), an alias, or `latest`",
    "alias": "the alias: a lowercase letter, then letters, digits, `.`, `_`, `-`; not `latest`",
}
_REF: Final = {"schema": "the schema's name or its id; optionally `@` and a version or an alias"}
_ETAG: Final = {"ETag": "for `If-Match`; every move changes it"}
_LOCATION: Final = {"Location": "the URL of the schema or version"}

_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_SCHEMA: Final = SchemaNotFound("no schema 'orders'; GET /schemas lists them")
_NO_VERSION: Final = SchemaVersionNotFound("the schema 'events' has no version 9")
_NO_ALIAS: Final = SchemaVersionNotFound("the schema 'events' has no version 'prod'")
_ARCHIVED: Final = SchemaArchived("the schema 'events' is archived and does not change")
_INVALID: Final = InvalidSchema("/properties/id/type: must be one of the seven types of JSON")
_MOVED: Final = PreconditionFailed(
    'If-Match is "1-0", and its ETag is another one now; GET it again'
)
_EXISTS: Final = PreconditionFailed("If-None-Match is *, and there is one already")
_CHECK: Final = (
    _INVALID,
    SchemaTooLarge("the schema has 1048577 bytes; the limit is 1048576"),
    CheckBusy("128 requests wait for it already"),
    TooManyChecks("16 requests of this tenant wait for it already"),
    _NO_DATABASE,
)


class SchemaListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that select and page schemas."""

    name: Annotated[Name, Meta(description="only the schema with this name")] | UnsetType = UNSET
    archived: Annotated[bool, Meta(description="include archived schemas")] = False


class ValidateQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a validation."""

    excerpts: Annotated[bool, Meta(description="errors show the beginning of the value")] = False
    all: Annotated[bool, Meta(description="of lines: report valid ones, too")] = False


LIST_SCHEMAS: Final = documented(
    query=SchemaListQuery,
    responses={
        200: ResponseSpec(description="A page of schemas, newest first", shape=Page[Schema])
    },
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

SHOW_SCHEMA: Final = documented(
    responses={200: ResponseSpec(description="The schema and its newest version", shape=Schema)},
    problems=(_NO_SCHEMA, _NO_VERSION, _NO_DATABASE),
    parameters=_REF,
    examples=_EXAMPLES,
)

PUT_SCHEMA: Final = documented(
    request_bodies={"application/json": PutSchema},
    headers=DESCRIBED_ANY,
    responses={
        201: ResponseSpec(
            description="The schema with its new version",
            shape=Schema,
            headers=_LOCATION,
            links={"showSchema": {"schema": "id"}},
        ),
        200: ResponseSpec(
            description="The schema; its newest version has this document and this `strict`",
            shape=Schema,
            headers=_LOCATION,
        ),
    },
    problems=(
        *_CHECK,
        _NO_SCHEMA,
        _ARCHIVED,
        _EXISTS,
        IncompatibleSchema(
            "/required: the schema demands backward compatibility, and the version is not known to "
            "be backward compatible with version 3"
        ),
        SchemaBusy("the schema 'events' was changed 5 times meanwhile"),
        quota_problem(QuotaExceeded("schema-versions", limit=1_000, used=1_000)),
    ),
    parameters={"schema": "the schema's name, existing or new, or its id"},
    examples=_EXAMPLES,
)

DESCRIBE_SCHEMA: Final = documented(
    request_bodies={"application/json": DescribeSchema},
    responses={200: ResponseSpec(description="The changed schema", shape=Schema)},
    problems=(_NO_SCHEMA, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

ARCHIVE_SCHEMA: Final = documented(
    responses={200: ResponseSpec(description="The schema, archived", shape=Schema)},
    problems=(not_evaluated("If-Match"), _NO_SCHEMA, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

CHECK_SCHEMA: Final = documented(
    request_bodies={"application/json": CheckSchema},
    responses={200: ResponseSpec(description="The schema has no errors", shape=CheckedSchema)},
    problems=(*_CHECK, _NO_SCHEMA, _NO_VERSION),
    examples=_EXAMPLES,
)

VALIDATE: Final = documented(
    request_bodies={"application/json": ANY_JSON, NDJSON: ANY_JSON},
    query=ValidateQuery,
    responses={
        200: ResponseSpec(
            description="Whether the document is valid; of lines, those that are not, and counts",
            shape=ValidatedDocument,
            also={NDJSON: RAW_TEXT},
        )
    },
    problems=(
        _NO_SCHEMA,
        _NO_VERSION,
        ValidationFailed("the time limit of 5000 ms was exceeded"),
        DocumentTooLarge("line 3 is longer than 16777216 bytes"),
        *_CHECK[2:],
    ),
    parameters=_REF,
    examples=_EXAMPLES,
)

LIST_SCHEMA_VERSIONS: Final = documented(
    query=PageQuery,
    responses={
        200: ResponseSpec(description="A page of versions, newest first", shape=Page[SchemaVersion])
    },
    problems=(_NO_SCHEMA, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_SCHEMA_VERSION: Final = documented(
    responses={200: ResponseSpec(description="The version", shape=SchemaVersion)},
    problems=(_NO_SCHEMA, _NO_VERSION, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_SCHEMA_DOCUMENT: Final = documented(
    headers={"If-None-Match": "ETags that the client has, or `*`: 304 if one matches"},
    responses={
        200: ResponseSpec(
            description="The schema, byte for byte",
            shape=ANY_JSON,
            headers={"ETag": "of the version that is sent, as its hash"},
        ),
        304: ResponseSpec(description="The client has this version, by `If-None-Match`"),
    },
    problems=(_NO_SCHEMA, _NO_VERSION, _NO_DATABASE),
    parameters=_REF,
    examples=_EXAMPLES,
)

LIST_SCHEMA_ALIASES: Final = documented(
    query=PageQuery,
    responses={200: ResponseSpec(description="A page of aliases, by name", shape=Page[Alias])},
    problems=(_NO_SCHEMA, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SHOW_SCHEMA_ALIAS: Final = documented(
    headers={"If-None-Match": "ETags that the client has, or `*`: 304 if one matches"},
    responses={
        200: ResponseSpec(description="The alias", shape=Alias, headers=_ETAG),
        304: ResponseSpec(description="The client has the current alias, by `If-None-Match`"),
    },
    problems=(_NO_SCHEMA, _NO_ALIAS, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

MOVE_SCHEMA_ALIAS: Final = documented(
    request_bodies={"application/json": MoveSchemaAlias},
    headers=DESCRIBED,
    responses={200: ResponseSpec(description="The changed alias", shape=Alias, headers=_ETAG)},
    problems=(_NO_SCHEMA, _NO_VERSION, _ARCHIVED, _MOVED, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

REMOVE_SCHEMA_ALIAS: Final = documented(
    headers=DESCRIBED,
    responses={204: ResponseSpec(description="The alias is removed")},
    problems=(
        not_evaluated("If-Unmodified-Since"),
        _NO_SCHEMA,
        _NO_ALIAS,
        _MOVED,
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
