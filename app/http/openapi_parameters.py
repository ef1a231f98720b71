"""Describe parameters for the OpenAPI document, and read recorded examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from app.idempotency.model import IDEMPOTENCY_KEY, MAX_KEY_CHARACTERS

_JSON: Final = "application/json"
# What headers of these names allow, as JSON Schema.
HEADER_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    IDEMPOTENCY_KEY: {
        "minLength": 1,
        "maxLength": MAX_KEY_CHARACTERS,
        "pattern": "^[!#-~]([ -~]*[!-~])?$",
    }
}
REFS: Final = "#/components/schemas/{name}"
# /docs shows such a parameter only while that media type is chosen for the body.
_ONLY_WITH: Final = "x-only-with"


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A recorded request and its response, tied together by `name`.

    `body` is the JSON of the body, the text of a raw one, or the fields of a form. `answer` is
    the JSON of the response, or its text.
    """

    name: str
    summary: str
    parameters: dict[str, Any] = {}
    media_type: str = ""
    body: Any = UNSET
    status: int
    answer: Any = UNSET


def load_examples(path: Path) -> dict[str, list[Example]]:
    """Load recorded examples by operation id."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, list[Example]])


def path_parameter(parameter: dict[str, Any], described: Mapping[str, str]) -> dict[str, Any]:
    """Describe a path parameter from Litestar's description."""
    return {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter["required"],
        "description": described.get(parameter["name"], ""),
        "schema": {k: v for k, v in parameter["schema"].items() if k != "description"},
    }


def query_parameters(shape: type[Struct] | None, *, only_with: str | None) -> list[dict[str, Any]]:
    """Describe query parameters, one for each field of a struct."""
    if shape is None:
        return []
    _, parts = msgspec.json.schema_components([shape], ref_template=REFS)
    parameters = []
    for name, member in parts[shape.__name__]["properties"].items():
        schema = {k: v for k, v in member.items() if k not in ("description", "anyOf")}
        [choice] = [each for each in member.get("anyOf", [{}]) if each != {"type": "null"}]
        parameter = {
            "name": name,
            "in": "query",
            "required": False,
            "description": member["description"],
            "schema": {**schema, **choice},
        }
        if parameter["schema"].get("contentMediaType") == _JSON:
            # `content` declares a parameter whose value is serialised JSON.
            del parameter["schema"]
            parameter["content"] = {_JSON: {"schema": {}}}
        if only_with is not None:
            parameter["description"] += f"; only with a body of `{only_with}`"
            parameter[_ONLY_WITH] = only_with
        parameters.append(parameter)
    return parameters


def header_parameters(described: Mapping[str, str]) -> list[dict[str, Any]]:
    """Describe request headers from their names and descriptions."""
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string", **HEADER_SCHEMAS.get(name, {})},
        }
        for name, description in described.items()
    ]


def with_examples(parameter: dict[str, Any], recorded: Sequence[Example]) -> dict[str, Any]:
    """Add the values of recorded examples to a parameter."""
    examples = {
        each.name: {"summary": each.summary, "value": each.parameters[parameter["name"]]}
        for each in recorded
        if parameter["name"] in each.parameters
    }
    if not examples:
        return parameter
    if "content" in parameter:
        shown = {_JSON: {**parameter["content"][_JSON], "examples": examples}}
        return {**parameter, "content": shown}
    return {**parameter, "examples": examples}
