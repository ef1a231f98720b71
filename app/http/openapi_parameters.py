"""Describe parameters for the OpenAPI document, and read recorded examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

_JSON: Final = "application/json"
REFS: Final = "#/components/schemas/{name}"
# The page at /docs shows such a parameter only where that form of the body is chosen.
_ONLY_WITH: Final = "x-only-with"


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One request and its answer as they went over the wire; `name` ties the two together.

    `body` is the body's JSON, the text of a raw one, or a form's fields. `answer` is the
    answer's JSON, or its text.
    """

    name: str
    summary: str
    parameters: dict[str, Any] = {}
    media_type: str = ""
    body: Any = UNSET
    status: int
    answer: Any = UNSET


def load_examples(path: Path) -> dict[str, list[Example]]:
    """Read recorded examples: operation ids and, for each, its requests and answers."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, list[Example]])


def path_parameter(parameter: dict[str, Any], described: Mapping[str, str]) -> dict[str, Any]:
    """Describe a parameter in a path, which is all that Litestar knows of."""
    return {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter["required"],
        "description": described.get(parameter["name"], ""),
        "schema": {k: v for k, v in parameter["schema"].items() if k != "description"},
    }


def query_parameters(shape: type[Struct] | None, *, only_with: str | None) -> list[dict[str, Any]]:
    """Describe the parameters that a route reads by itself, one for each field of a struct."""
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
            # Serialised as JSON, which is what `content` says of a parameter.
            del parameter["schema"]
            parameter["content"] = {_JSON: {"schema": {}}}
        if only_with is not None:
            parameter["description"] += f"; only with a body of `{only_with}`"
            parameter[_ONLY_WITH] = only_with
        parameters.append(parameter)
    return parameters


def header_parameters(described: Mapping[str, str]) -> list[dict[str, Any]]:
    """Describe request headers by their names."""
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in described.items()
    ]


def with_examples(parameter: dict[str, Any], recorded: Sequence[Example]) -> dict[str, Any]:
    """Add the values that recorded examples have for a parameter."""
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
