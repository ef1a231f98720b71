"""Document the routes of health checks in OpenAPI."""

from pathlib import Path
from typing import Final

from app.http.openapi import ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.workers.model import Live, Ready

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))

LIVE: Final = documented(
    responses={200: ResponseSpec(description="The process responds", shape=Live)},
    examples=_EXAMPLES,
)

READY: Final = documented(
    responses={
        200: ResponseSpec(description="Executions are accepted and run", shape=Ready),
        503: ResponseSpec(description="They are not: `missing` lists why", shape=Ready),
    },
    examples=_EXAMPLES,
)
