"""The client's structs match the OpenAPI document, field by field."""

import types
import typing
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from msgspec import Raw

from crivo import (
    batch_models,
    comparison_models,
    dataset_models,
    errors,
    export_models,
    letter_models,
    models,
    run_models,
    script_models,
)
from tests.support.servers import ROOT

SCHEMAS: Final[dict[str, Any]] = msgspec.json.decode(
    (ROOT / "openapi" / "openapi.json").read_bytes()
)["components"]["schemas"]

# Schemas of the client's structs whose names differ.
_NAMES: Final[dict[type[msgspec.Struct], str]] = {errors.Problem: "ProblemDocument"}
# Structs of the client itself, and those that generic schemas stand for.
_OWN: Final = {
    models.Response,
    models.Page,
    script_models.Pushed,
    models.Result,
    batch_models.BatchResult,
    dataset_models.Record,
    dataset_models.RecordDocument,
    dataset_models.BadLine,
    dataset_models.Totals,
    dataset_models.Sent,
}
# Fields that only callers with a key of their own tenant's operator see.
_LEFT_OUT: Final = {"Ready": {"lockdown", "workers"}, "ProblemDocument": {"violated-policies"}}

# Fields that responses of 0.1.0 lack.
_NEWER: Final = {
    "Version": {"kinds", "io", "input_schema", "output_schema"},
    "Dataset": {"schema"},
    "FailedRecord": {"redrive", "moved_at"},
}

# Types that the document leaves open.
_OPEN: Final = {
    ("Sample", "logs"): "Console",
    ("Problem", "errors"): "list[Fault]",
    ("Problem", "warnings"): "list[Fault]",
    ("Export", "request"): "any",
}

_MODULES: Final = (
    models,
    batch_models,
    comparison_models,
    dataset_models,
    letter_models,
    run_models,
    export_models,
    script_models,
    errors,
)
STRUCTS: Final[list[type[msgspec.Struct]]] = [
    each
    for module in _MODULES
    for each in vars(module).values()
    if isinstance(each, type) and each.__module__ == module.__name__
    if issubclass(each, models.Response | errors.Problem)
    if each not in _OWN
]
_PLAIN: Final[dict[object, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_FORMATS: Final[dict[object, str]] = {datetime: "date-time", UUID: "uuid"}


def _schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    schema: dict[str, Any] = SCHEMAS[_NAMES.get(struct, struct.__name__)]
    return schema


def _named(schema: dict[str, Any]) -> str:
    """Write a schema's type as one word; `?` means that it may be null."""
    match schema:
        case {"anyOf": [inner, {"type": "null"}]}:
            name = f"{_named(inner)}?"
        case {"$ref": ref}:
            target = ref.rpartition("/")[2]
            name = "string" if "enum" in SCHEMAS[target] else target
        case {"enum": _}:
            name = "string"
        case {"type": "array", "prefixItems": parts}:
            name = f"tuple[{', '.join(map(_named, parts))}]"
        case {"type": "array", "items": items}:
            name = f"list[{_named(items)}]"
        case {"type": "object", "additionalProperties": values}:
            name = f"dict[{_named(values)}]"
        case _:
            name = schema.get("format") or schema.get("type", "any")
    return name


def _named_by_hint(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Write a field's type as `_named` does."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        name = _named_by_hint(arguments[0])
        return f"{name}?" if types.NoneType in arguments else name
    if origin in (list, dict):
        return f"{origin.__name__}[{_named_by_hint(arguments[-1])}]"
    if origin is tuple and arguments[1:] == (...,):
        return f"list[{_named_by_hint(arguments[0])}]"
    if origin is tuple:
        return f"tuple[{', '.join(map(_named_by_hint, arguments))}]"
    if hint is Raw:
        return "any"
    return _PLAIN.get(hint) or _FORMATS.get(hint) or str(hint.__name__)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: each.__name__)
def test_a_struct_has_the_fields_of_its_schema(struct: type[msgspec.Struct]) -> None:
    schema = _schema_of(struct)
    left_out = _LEFT_OUT.get(_NAMES.get(struct, struct.__name__), set())

    fields = {each.encode_name for each in msgspec.structs.fields(struct)}

    assert fields == set(schema["properties"]) - left_out


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: each.__name__)
def test_a_field_without_a_default_is_always_present(struct: type[msgspec.Struct]) -> None:
    required = {each.encode_name for each in msgspec.structs.fields(struct) if each.required}

    # The document requires `detail` and `request_id`; a proxy's problem may lack the latter.
    may_lack = {"request_id"} | _NEWER.get(struct.__name__, set())
    assert required == set(_schema_of(struct)["required"]) - may_lack


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda each: each.__name__)
def test_a_field_has_the_type_of_its_schema(struct: type[msgspec.Struct]) -> None:
    properties = _schema_of(struct)["properties"]
    for field in msgspec.structs.fields(struct):
        expected, found = _named(properties[field.encode_name]), _named_by_hint(field.type)
        if not field.required:
            # Absent is None to users of the client.
            expected, found = expected.rstrip("?"), found.rstrip("?")
        assert found == _OPEN.get((struct.__name__, field.name), expected), field.name


def test_unknown_fields_of_a_newer_service_are_ignored() -> None:
    text = b'{"lines":[{"level":"log","text":"a","group":1}],"lines_dropped":0,"truncated":false}'

    console = msgspec.json.decode(text, type=models.Console)

    assert console.lines == [models.ConsoleLine(level="log", text="a")]
    assert (
        msgspec.json.decode(
            b'{"id":"01a1fbeb-e349-7359-851e-28a65d1b7be4","status":"paused","url":"/x"}',
            type=models.Queued,
        ).status
        == "paused"
    )


def test_the_structs_that_are_compared_are_most_of_the_document() -> None:
    compared = {_NAMES.get(each, each.__name__) for each in STRUCTS}

    assert len(compared) > 20
    assert compared <= set(SCHEMAS)
