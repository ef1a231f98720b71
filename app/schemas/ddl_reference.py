"""Document the route of tables for OpenAPI."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.check_turns import CheckBusy, TooManyChecks
from app.http.openapi import RAW_TEXT, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.outages import DatabaseUnavailable
from app.schemas.ddl import Dialect, TableFormat
from app.schemas.problems import NoTableType, SchemaNotFound, SchemaVersionNotFound

SQL: Final = "application/sql"

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))


class TableQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters that describe a table."""

    dialect: Annotated[Dialect, Meta(description="whose SQL")] = Dialect.ATHENA
    format: Annotated[
        TableFormat, Meta(description="what the files are; `json`: one document a line")
    ] = TableFormat.PARQUET
    name: (
        Annotated[
            str, Meta(description="`table` or `database.table`; the schema's name if omitted")
        ]
        | UnsetType
    ) = UNSET
    location: (
        Annotated[str, Meta(description="the URL of the files; Athena needs one, PostgreSQL none")]
        | UnsetType
    ) = UNSET
    partition: (
        Annotated[
            list[str],
            Meta(description="`column:type`, a column whose values are in the paths; repeatable"),
        ]
        | UnsetType
    ) = UNSET


SHOW_TABLE: Final = documented(
    query=TableQuery,
    responses={
        200: ResponseSpec(
            description="The statement, as UTF-8",
            shape=RAW_TEXT,
            media_type=SQL,
            headers={"Content-Location": "the URL of exactly this version's table"},
        )
    },
    problems=(
        SchemaNotFound("no schema 'orders'; GET /schemas lists them"),
        SchemaVersionNotFound("the schema 'events' has no version 9"),
        NoTableType("/properties/extra: nothing is known of what the object holds"),
        CheckBusy("128 requests wait for it already"),
        TooManyChecks("16 requests of this tenant wait for it already"),
        DatabaseUnavailable("PostgreSQL does not answer"),
    ),
    parameters={"schema": "the schema's name or its id; optionally `@` and a version or an alias"},
    examples=_EXAMPLES,
)
