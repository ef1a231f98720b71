"""Parts of schemas without a type are refused with their place; alternatives become one."""

from typing import Any, Final

import pytest

from app.schemas.ddl import BadOption, NoType, table
from app.schemas.document import SchemaDocument
from tests.support.tables import ddl, fields

_A: Final = fields(a={"type": "string"})
_B: Final = fields(b={"type": "string"})


@pytest.mark.parametrize(
    ("schema", "pointer", "message"),
    [
        (fields(x=True), "/properties/x", "may be"),
        (fields(x={"anyOf": [_A, _B]}), "/properties/x", "different fields"),
        (fields(x={"type": ["string", "integer"]}), "/properties/x", "may be"),
        (fields(x={"type": "object"}), "/properties/x", "without fields"),
        (fields(x=fields()), "/properties/x", "without fields"),
        (fields(x={"type": "array"}), "/properties/x", "of the items"),
        (fields(x={"type": "null"}), "/properties/x", "always null"),
        (fields(next={"$ref": "#"}), "/properties/next", "contain itself"),
        ({"type": "string"}, "", "an object with fields"),
        ({"$ref": "crivo:/schemas/other@1"}, "/$ref", "not registered"),
        (fields(**{"a\nb": {"type": "string"}}), "/properties/a\nb", "control characters"),
        (fields(**{"a" * 300: {"type": "string"}}), f"/properties/{'a' * 300}", "characters"),
    ],
)
def test_what_has_no_type_is_refused_with_its_place(
    schema: dict[str, Any], pointer: str, message: str
) -> None:
    with pytest.raises(NoType) as refused:
        ddl(schema)

    assert refused.value.pointer == pointer
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "double"),
        ({"oneOf": [{"format": "date", "type": "string"}, {"const": ""}]}, "string"),
        ({"enum": ["a", None, "b"]}, "string"),
        ({"enum": [1, 2.5]}, "decimal(2,1)"),
        ({"allOf": [{"type": "integer", "minimum": 0}, {"maximum": 2**40}]}, "bigint"),
        ({"anyOf": [_A, {**_A, "required": ["a"]}]}, "struct<`a`:string>"),
        (
            {**_A, "dependentSchemas": {"a": {"properties": {"b": {"type": "boolean"}}}}},
            "struct<`a`:string,`b`:boolean>",
        ),
        ({"type": "integer", "if": {"minimum": 9}, "then": {"multipleOf": 2}}, "bigint"),
        # As a double, which is how a registered schema is read, 2**63 - 1 is 2**63.
        (
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63},
            "bigint COMMENT 'integers beyond 64 bits do not fit'",
        ),
        ({"type": "integer", "minimum": 0, "maximum": 2**64}, "decimal(38,0)"),
        # The type of the column that an export writes.
        ({"type": "string", "contentEncoding": "base64"}, "string COMMENT 'base64"),
    ],
)
def test_alternatives_become_one_type(schema: dict[str, Any], expected: str) -> None:
    assert f"  `x` {expected}" in ddl(fields(x=schema))


def test_references_lead_to_other_documents() -> None:
    uri, other = "crivo:/schemas/events@3", "crivo:/schemas/types@1"
    document = SchemaDocument(
        uri,
        {
            uri: fields(by={"$ref": f"{other}#/$defs/user"}, at={"$ref": f"{other}#moment"}),
            other: {
                "$defs": {
                    "user": fields(id={"$ref": "#/$defs/id"}),
                    "id": {"type": "string", "format": "uuid"},
                    "at": {"$anchor": "moment", "type": "string", "format": "date"},
                }
            },
        },
        strict={uri},
    )

    sql = table(document, dialect="postgresql", name="events")

    assert '"by" jsonb' in sql
    assert '"at" date' in sql


_HOSTILE: Final = (
    "a'b",
    'a"b',
    "a`b",
    "a;b",
    "a\nb",
    "a\x00b",
    "a--b",
    "a\\",
    "a" * 300,
    "",
    "é b",
)


@pytest.mark.parametrize("option", ["name", "location", "partition"])
@pytest.mark.parametrize("hostile", _HOSTILE)
def test_hive_takes_no_hostile_names_and_places(option: str, hostile: str) -> None:
    value: dict[str, Any] = {
        "name": hostile,
        "location": f"s3://b/{hostile} ",
        "partition": [f"{hostile}:int"],
    }

    with pytest.raises(BadOption) as refused:
        ddl(_A, "athena", **{option: value[option]})

    assert refused.value.option == option


def test_partitions_are_no_fields() -> None:
    for dialect in ("athena", "hive", "duckdb", "postgresql"):
        with pytest.raises(BadOption, match="a is a field"):
            ddl(_A, dialect, partition=["a:int"])
    with pytest.raises(BadOption, match="is column:type"):
        ddl(_A, partition=["year:struct<a:int>"])
