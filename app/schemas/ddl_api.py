"""HTTP route of the tables of schemas."""

import re
from functools import partial
from typing import Final
from urllib.parse import urlencode

from litestar import Response
from msgspec import UNSET

from app.auth.callers import Caller
from app.auth.model import Scope
from app.check_turns import check_turn
from app.errors import clipped, invalid_parameter
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_query
from app.http.methods import get
from app.resources import Resources
from app.sandbox.schema_checks import SchemaSet
from app.schemas import ddl_reference, service
from app.schemas.ddl import BadOption, NoType, table
from app.schemas.document import SchemaProblem, read_document
from app.schemas.model import ResolvedSchema
from app.schemas.problems import NoTableType
from app.schemas.refs import parse_schema_ref
from app.schemas.threads import in_describing_thread
from app.wording import printable

_MAX_SHOWN: Final = 300
_NOT_PLAIN: Final = re.compile(r"[^a-z0-9_]")


@get(
    "/{schema:str}/ddl",
    media_type=ddl_reference.SQL,
    operation_class=ddl_reference.SHOW_TABLE,
    **needs(Scope.READ),
)
async def show_schema_table(
    schema: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[bytes]:
    """Show a schema as a table.

    Returns SQL that creates a table with a column for each field of the version that a reference
    names now: `CREATE EXTERNAL TABLE` for Athena and Hive, a view over the files or a table for
    DuckDB, a table for PostgreSQL. Comments say what a column does not keep. A part of the schema
    without a type, such as two structures that are alternatives, is refused with its place.
    """
    query = read_query(request, ddl_reference.TableQuery, many=("partition",))
    ref = parse_schema_ref(schema)
    version, schemas = await service.read_schemas(resources, caller.tenant, ref)
    try:
        async with check_turn(resources, caller):
            sql = await in_describing_thread(partial(_table, version, schemas, query))
    except BadOption as bad:
        raise invalid_parameter(bad.option, bad.message) from None
    except (NoType, SchemaProblem) as problem:
        pointer, message = _shown(problem.pointer), _shown(problem.message)
        if isinstance(problem, NoType) and problem.remedy:
            message = f"{message}; {problem.remedy}"
        errors = [{"pointer": pointer, "message": message}]
        raise NoTableType(f"{pointer or 'the schema'}: {message}", errors=errors) from None
    exact = f"/schemas/{version.ref}/ddl?{urlencode(list(request.query_params.multi_items()))}"
    headers = {"Content-Location": exact, "X-Content-Type-Options": "nosniff"}
    return Response(sql.encode(), media_type=ddl_reference.SQL, headers=headers)


def _table(version: ResolvedSchema, schemas: SchemaSet, query: ddl_reference.TableQuery) -> str:
    return table(
        read_document(version.uri, schemas.documents, strict=schemas.strict),
        dialect=query.dialect,
        format=query.format,
        name=_NOT_PLAIN.sub("_", version.name) if query.name is UNSET else query.name,
        location=None if query.location is UNSET else query.location,
        partition=() if query.partition is UNSET else query.partition,
    )


def _shown(text: str) -> str:
    return printable(clipped(text, _MAX_SHOWN))


routes: Final = (show_schema_table,)
