"""HTTP routes of the index and the reference: the OpenAPI document, its page and what that needs.

Everything comes from this process, and the page's policy lets the browser ask nobody else.
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
asynchronously and safely, over JSON data.

1. [Upload a script](#/scripts/createScript).
2. [Submit data to it](#/executions/submitRaw): the answer is the execution's address.
3. [Read the execution](#/executions/showExecution): its status, then the result or the reason
   why there is none, and the receipt.

The steps can be run here as they are filled in: **Execute** in each. (Where `cards` exists
already, the first one answers 409, and the others work.)

A server that asks for API keys answers 401 without one: enter yours with **Authorize** below.
The page forgets it when it is closed. An operator makes [tenants](#/tenants/createTenant) and
[keys](#/keys/createKey).

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

# No inline script and nothing from elsewhere. Swagger UI's style sheet has its icons as data.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def openapi_config() -> Documentation:
    """Give what the OpenAPI document says of the whole; each route says the rest of itself."""
    return Documentation(
        title=NAME,
        version=VERSION,
        description=_DESCRIPTION,
        tags=[
            Tag(name="scripts", description="Scripts, their versions and aliases"),
            Tag(name="executions", description="Runs of a script over data, and what came of them"),
            Tag(name="tenants", description="Whom everything belongs to; for operators"),
            Tag(name="keys", description="Who may do what; for operators"),
            Tag(name="audit", description="Who changed what; for operators"),
            Tag(name="health", description="Whether the system works"),
            Tag(name="index", description="Where everything is"),
        ],
        openapi_router=_Unserved(path="/", route_handlers=[]),
    )


class _Unserved(Router):
    """Takes the routes that Litestar brings along with a document, and serves none of them.

    Their pages load from other hosts, and they answer unknown paths with HTML.
    """

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:  # noqa: ARG002
        return []


class Asset(Struct, frozen=True, kw_only=True):
    """Some bytes to serve; `etag` is theirs alone."""

    content: bytes
    media_type: str
    etag: str


@get("/", include_in_schema=True, tags=["index"], operation_class=INDEX)
async def show_index(request: AnyRequest) -> Response[Index | None]:
    """Show the index.

    The addresses to start from. A browser, or whoever else prefers `text/html` to JSON, is sent
    to the reference.
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
    """Give what the page is made of."""
    if name not in _ASSETS:
        raise NotFoundException
    return _answer(request, _ASSETS[name])


@get("/favicon.ico")
async def favicon(request: AnyRequest) -> Response[bytes]:
    """Give the icon where browsers look for it when a document names none."""
    return _answer(request, _ASSETS["favicon.svg"])


@get("/openapi.json")
async def openapi_document(request: AnyRequest) -> Response[bytes]:
    """Give the OpenAPI document."""
    return _answer(request, _document_of(request.app))


def _answer(request: AnyRequest, asset: Asset) -> Response[bytes]:
    headers = {
        "ETag": asset.etag,
        # Kept by the browser, and asked for again each time: 304 unless Crivo was updated.
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
    # A cache on the way may have made the tag a weak one (RFC 9110, 13.1.2).
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
