"""Say in the OpenAPI document what bodies a route reads, where the route reads them itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

# A JSON Schema as plain data; Litestar's own Schema objects render to the same.
JsonSchema = Mapping[str, object]

ANY_JSON: JsonSchema = {"description": "any JSON"}
RAW_TEXT: JsonSchema = {"type": "string"}


def reads(content: Mapping[str, JsonSchema]) -> type[Operation]:
    """Give the `operation_class` of a route that reads these media types."""
    body = RequestBody(
        required=True,
        content={
            media_type: OpenAPIMediaType(schema=cast("Schema", dict(schema)))
            for media_type, schema in content.items()
        },
    )

    @dataclass
    class ReadingOperation(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return ReadingOperation


def schema_of(shape: type) -> JsonSchema:
    """Give the JSON Schema of a struct, its parts written out in place."""
    schema = msgspec.json.schema(shape)
    parts = schema.pop("$defs", {})
    return cast("JsonSchema", _inlined(schema, parts))


def _inlined(node: Any, parts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        return [_inlined(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(parts[str(node["$ref"]).rpartition("/")[2]], parts)
    return {key: _inlined(value, parts) for key, value in node.items()}
