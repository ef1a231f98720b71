"""Document `GET /metrics` for OpenAPI."""

from pathlib import Path
from typing import Final

from app.http.openapi import (
    RAW_TEXT,
    ResponseSpec,
    documented,
)
from app.http.openapi_parameters import (
    load_examples,
)

METRICS: Final = documented(
    responses={
        200: ResponseSpec(
            description="Every metric of this API process, in Prometheus' text format",
            shape=RAW_TEXT,
            media_type="text/plain",
        )
    },
    examples=load_examples(Path(__file__).with_name("examples.json")),
)
