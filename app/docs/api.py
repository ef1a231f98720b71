"""HTTP routes of the index, the OpenAPI document and the page that shows it.

This process serves every asset, and the page's policy keeps the browser from loading others.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from litestar import Litestar, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Tag
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from app.docs.reference import INDEX, NAME, Index
from app.http.authorization import NO_KEY
from app.http.bodies import AnyRequest
from app.http.methods import get
from app.http.negotiation import weight_of
from app.http.openapi import Documentation
from app.version import VERSION

_DESCRIPTION: Final = """\
Crivo keeps **versioned JavaScript scripts** (`function process(data)`) and runs them,
asynchronously and safely, over JSON data, as executions. A **run** takes a script (`map`, or a
fold: `start`, `step`, `merge`, `finish`) over a whole dataset of any size, in parts.

1. [Upload a script](#/scripts/createScript).
2. [Submit data to it](#/executions/submitRaw): the response names the execution's URL.
3. [Read the execution](#/executions/showExecution): its status, then the result or the error,
   and the receipt.

For a run, [create a dataset](#/datasets/putDataset), [put a file into it](#/datasets/putFile) and
[create the run](#/runs/createRun).

The three steps are filled in and can be run here: press **Execute** in each. (If `cards` exists
already, the first one returns 409, and the others work.)

A server that requires API keys returns 401 without one: enter yours with **Authorize** below.
It is forgotten when you close the page. Operators create [tenants](#/tenants/createTenant)
and [keys](#/keys/createKey).

Every error is a problem document (RFC 9457, `application/problem+json`) with a stable `type`.
"""

_FOLDER: Final = Path(__file__).parent

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

# No inline scripts, no other origins. Swagger UI's style sheet embeds its icons as data URLs.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def openapi_config() -> Documentation:
    """Describe the API as a whole for the OpenAPI document; each route describes itself."""
    return Documentation(
        title=NAME,
        version=VERSION,
        description=_DESCRIPTION,
        tags=[
            Tag(name="scripts", description="Scripts, their versions and aliases"),
            Tag(
                name="schemas",
                description="JSON Schemas, their versions and aliases, and what is valid by them",
            ),
            Tag(name="executions", description="A script over one document, and the outcome"),
            Tag(
                name="runs",
                description="A script over a whole dataset, in parts: to a result, another "
                "dataset, or both",
            ),
            Tag(
                name="datasets",
                description="Files of any size, in snapshots that do not change, and records by "
                "key",
            ),
            Tag(name="batches", description="One script over many inputs"),
            Tag(
                name="comparisons", description="Two versions over the inputs of earlier executions"
            ),
            Tag(name="callbacks", description="Outcomes that are sent to URLs, signed"),
            Tag(
                name="tenants", description="Owners of scripts, executions and keys; for operators"
            ),
            Tag(name="keys", description="API keys and their scopes; for operators"),
            Tag(name="audit", description="The log of changes; for operators"),
            Tag(name="health", description="Whether the system works"),
            Tag(name="index", description="The URLs to start from"),
        ],
        openapi_router=_Unserved(path="/", route_handlers=[]),
    )


class _Unserved(Router):
    """A router that drops the routes that Litestar adds for an OpenAPI document.

    Their pages load assets from other hosts, and they return HTML for unknown paths.
    """

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:  # noqa: ARG002
        return []


class Asset(Struct, frozen=True, kw_only=True):
    """A file to serve; its `etag` is a hash of its content."""

    content: bytes
    media_type: str
    etag: str


@get("/", include_in_schema=True, tags=["index"], operation_class=INDEX)
async def show_index(request: AnyRequest) -> Response[Index | None]:
    """Show the index.

    Returns the URLs to start from. A client that prefers `text/html` to JSON, such as a browser,
    is redirected to the reference.
    """
    accept = ",".join(request.headers.getall("accept", []))
    headers = {"Vary": "Accept"}
    if weight_of(accept, "text/html") > weight_of(accept, "application/json"):
        headers["Location"] = "/docs"
        return Response(None, status_code=303, headers=headers, media_type="text/html")
    return Response(Index(), headers=headers)


@get("/docs")
async def reference(request: AnyRequest) -> Response[bytes]:
    """Show the reference."""
    return _answer(request, _ASSETS["index.html"])


@get("/docs/assets/{name:str}")
async def asset(name: str, request: AnyRequest) -> Response[bytes]:
    """Return an asset of the page."""
    if name not in _ASSETS:
        raise NotFoundException
    return _answer(request, _ASSETS[name])


@get("/favicon.ico")
async def favicon(request: AnyRequest) -> Response[bytes]:
    """Return the icon; browsers request this path for documents that name no icon."""
    return _answer(request, _ASSETS["favicon.svg"])


@get("/openapi.json")
async def openapi_document(request: AnyRequest) -> Response[bytes]:
    """Return the OpenAPI document."""
    return _answer(request, _document_of(request.app))


def _answer(request: AnyRequest, asset: Asset) -> Response[bytes]:
    headers = {
        "ETag": asset.etag,
        # The browser revalidates its copy each time: 304 unless Crivo was updated.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    known = request.headers.get("If-None-Match", "")
    if known.strip() == "*" or asset.etag in _tags_in(known):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


def _tags_in(if_none_match: str) -> set[str]:
    # If-None-Match uses weak comparison (RFC 9110, 13.1.2): a cache may have weakened the tag.
    return {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}


def _asset_of(content: bytes, suffix: str) -> Asset:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content=content, media_type=_MEDIA_TYPES[suffix], etag=etag)


@lru_cache(maxsize=1)
def _document_of(app: Litestar) -> Asset:
    return _asset_of(msgspec.json.encode(app.openapi_schema.to_schema()), ".json")


_ASSETS: Final = {
    path.name: _asset_of(path.read_bytes(), path.suffix)
    for folder in (_FOLDER / "assets", _FOLDER / "vendor" / "swagger-ui")
    for path in folder.iterdir()
    if path.suffix in _MEDIA_TYPES
}


router = Router(
    path="/",
    include_in_schema=False,
    **NO_KEY,
    route_handlers=[show_index, reference, asset, favicon, openapi_document],
)
