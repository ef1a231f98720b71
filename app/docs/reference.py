"""Document the index for OpenAPI."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from app.http.openapi import (
    ResponseSpec,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.version import VERSION

NAME: Final = "Crivo"

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))


class Index(Struct, frozen=True, kw_only=True):
    """The service's name and version, and the URLs to start from."""

    name: str = NAME
    version: str = VERSION
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    scripts: str = "/scripts"
    schemas: str = "/schemas"
    executions: str = "/executions"
    batches: str = "/batches"
    datasets: str = "/datasets"
    runs: str = "/runs"
    exports: str = "/exports"
    pipes: str = "/pipes"
    dead_letters: str = "/dead-letters"
    redrives: str = "/redrives"
    health: str = "/health/ready"


INDEX: Final = documented(
    responses={
        200: ResponseSpec(
            description="The URLs to start from",
            shape=Index,
            headers={
                "Vary": "`Accept`: clients that prefer `text/html` are redirected to the reference"
            },
        ),
        303: ResponseSpec(
            description="Redirects a client that prefers `text/html` to the reference",
            headers={"Location": "`/docs`"},
        ),
    },
    elsewhere=("text/html",),
    examples=_EXAMPLES,
)
