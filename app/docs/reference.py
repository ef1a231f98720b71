"""What the API's reference says of its own index."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from app.http.openapi import (
    Answer,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)
from app.version import VERSION

NAME: Final = "Crivo"

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))


class Index(Struct, frozen=True, kw_only=True):
    """What this service is, and the addresses to start from."""

    name: str = NAME
    version: str = VERSION
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    scripts: str = "/scripts"
    executions: str = "/executions"
    health: str = "/health/ready"


INDEX: Final = documented(
    gives={
        200: Answer(
            description="Where to start",
            shape=Index,
            headers={"Vary": "`Accept`: whoever prefers `text/html` is sent to the reference"},
        ),
        303: Answer(
            description="To a browser, which prefers `text/html`: see the reference",
            headers={"Location": "`/docs`"},
        ),
    },
    elsewhere=("text/html",),
    examples=_EXAMPLES,
)
