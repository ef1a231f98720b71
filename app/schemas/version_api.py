"""HTTP routes of versions of schemas and of their documents."""

import hashlib
from typing import Final
from uuid import UUID

from litestar import MediaType, Response

from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_query
from app.http.conditions import is_known
from app.http.methods import get
from app.pagination import Page, PageQuery
from app.resources import Resources
from app.schemas import reference, service
from app.schemas.model import SchemaVersion
from app.schemas.refs import SchemaRef, parse_schema, parse_schema_ref, parse_selector


@get(
    "/{schema:str}/versions",
    operation_class=reference.LIST_SCHEMA_VERSIONS,
    **needs(Scope.READ),
)
async def list_schema_versions(
    schema: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[SchemaVersion]:
    """List a schema's versions.

    Newest first, in pages, each with its verdict on the version before.
    """
    choices = read_query(request, PageQuery)
    return await service.list_versions(
        resources,
        tenant,
        parse_schema(schema),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/{schema:str}/versions/{number:str}",
    operation_class=reference.SHOW_SCHEMA_VERSION,
    **needs(Scope.READ),
)
async def show_schema_version(
    schema: str, number: str, resources: Resources, tenant: UUID
) -> SchemaVersion:
    """Show a version of a schema.

    Takes a number, an alias or `latest`, and returns the version's size, hash, references and
    verdict. The document has a URL of its own.
    """
    ref = SchemaRef(schema=parse_schema(schema), selector=parse_selector(number))
    return await service.show_version(resources, tenant, ref)


@get(
    "/{schema:str}/document",
    operation_class=reference.SHOW_SCHEMA_DOCUMENT,
    **needs(Scope.READ),
)
async def show_schema_document(
    schema: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes]:
    """Download a schema.

    Returns the document of the version that a reference names now, byte for byte; of the newest
    one if it names none. `Content-Location` is the URL of exactly this version.
    """
    version, document = await service.read_document(resources, tenant, parse_schema_ref(schema))
    etag = f'"{hashlib.sha256(document).hexdigest()}"'
    headers = {
        "ETag": etag,
        "Content-Location": f"/schemas/{version.ref}/document",
        "X-Content-Type-Options": "nosniff",
    }
    known = is_known(request, etag)
    return Response(
        b"" if known else document,
        status_code=304 if known else 200,
        media_type=MediaType.JSON,
        headers=headers,
    )


routes: Final = (list_schema_versions, show_schema_version, show_schema_document)
