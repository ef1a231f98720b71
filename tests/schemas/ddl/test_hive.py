"""Tables for Athena and Hive have every type, and sqlglot reads them."""

import re
from typing import Any, Final

import pytest
import sqlglot
from sqlglot import exp

from app.schemas.ddl import NoType
from tests.support.tables import ddl, fields

_INTEGER: Final = {"type": "integer"}
# The types that the documentation of Athena lists for DDL, and a schema for each.
# https://docs.aws.amazon.com/athena/latest/ug/data-types.html
_TYPES: Final[dict[str, Any]] = {
    "BOOLEAN": {"type": "boolean"},
    "TINYINT": {**_INTEGER, "minimum": -128, "maximum": 127},
    "SMALLINT": {**_INTEGER, "exclusiveMinimum": -200, "maximum": 200},
    "INT": {**_INTEGER, "minimum": 0, "maximum": 2**31 - 1},
    "BIGINT": {**_INTEGER, "minimum": 0, "maximum": 2**31},
    "FLOAT": {"type": "number", "format": "float"},
    "DOUBLE": {"type": "number"},
    "DECIMAL(9, 2)": {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 9_999_999},
    "DECIMAL(38, 0)": {**_INTEGER, "minimum": 0, "maximum": 1e30},
    "CHAR(3)": {"type": "string", "minLength": 3, "maxLength": 3},
    "VARCHAR(9)": {"type": "string", "maxLength": 9},
    "STRING": {"type": "string"},
    "DATE": {"type": ["string", "null"], "format": "date"},
    "TIMESTAMP": {"anyOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]},
    "ARRAY<ARRAY<DATE>>": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "string", "format": "date"}},
    },
    "MAP<STRING, DOUBLE>": {"type": "object", "additionalProperties": {"type": "number"}},
    "MAP<STRING, STRUCT<`a`: BOOLEAN>>": {
        "type": "object",
        "patternProperties": {"^x": fields(a={"type": "boolean"})},
        "additionalProperties": False,
    },
    "STRUCT<`date`: INT, `in`: STRUCT<`x`: MAP<STRING, ARRAY<STRING>>>>": fields(
        date={"const": 1},
        **{
            "in": fields(
                x={
                    "additionalProperties": {
                        "type": "array",
                        "prefixItems": [{"enum": ["a", "b", None]}],
                        "items": {"type": "string"},
                    }
                }
            )
        },
    ),
}


def _columns(sql: str, dialect: str) -> dict[str, str]:
    [statement] = sqlglot.parse(sql, dialect=dialect)
    assert isinstance(statement, exp.Create)
    assert isinstance(statement.this, exp.Schema)
    return {
        column.name: column.args["kind"].sql("hive")
        for column in statement.this.expressions
        if isinstance(column, exp.ColumnDef)
    }


@pytest.mark.parametrize("dialect", ["athena", "hive"])
def test_there_is_a_schema_for_every_type(dialect: str) -> None:
    schema = fields(**{f"c{index}": schema for index, schema in enumerate(_TYPES.values())})

    found = _columns(ddl(schema, dialect, partition=["year:int", "day:date"]), dialect)

    assert list(found.values()) == list(_TYPES)


def test_a_table_over_parquet_names_its_files_and_partitions() -> None:
    schema = fields(id={"type": "string"}, order={"$ref": "#/$defs/n"}, at={"format": "date-time"})
    schema["$defs"] = {"n": {"type": "integer"}}

    sql = ddl(schema, location="s3://lake/events", partition=["year:int", "Day:date"])

    assert (
        sql
        == """CREATE EXTERNAL TABLE `db`.`events` (
  `id` string,
  `order` bigint COMMENT 'integers beyond 64 bits do not fit',
  `at` timestamp COMMENT 'a moment in UTC, the offset is not kept'
)
COMMENT 'crivo:/schemas/events@3'
PARTITIONED BY (`year` int, `day` date)
STORED AS PARQUET
LOCATION 's3://lake/events/'
TBLPROPERTIES ('classification' = 'parquet');
"""
    )


def test_the_serde_of_json_maps_names_that_hive_cannot_have() -> None:
    schema = fields(userId={"type": "string"}, by=fields(**{"a.b's": {"type": "boolean"}}))

    sql = ddl(schema, "hive", format="json")

    assert _columns(sql, "hive") == {"userid": "STRING", "by": "STRUCT<`a_b_s`: BOOLEAN>"}
    assert "`userid` string COMMENT 'field userId'" in sql
    assert "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'" in sql
    assert "'case.insensitive' = 'FALSE'" in sql
    assert "'mapping.userid' = 'userId'" in sql
    assert "'mapping.a_b_s' = 'a.b\\u0027s'" in sql


@pytest.mark.parametrize("dialect", ["athena", "hive"])
@pytest.mark.parametrize(
    ("name", "unsafe"),
    [("${env:PATH}", "${"), ("a;b", ";b"), ("a--b", "--")],
)
def test_a_name_of_a_field_is_no_variable_and_cuts_no_script(
    dialect: str, name: str, unsafe: str
) -> None:
    sql = ddl(fields(**{name: {"type": "string"}}), dialect, format="json")

    [escaped] = re.findall(r"'mapping\.\w+' = '(.*)'", sql)
    assert unsafe not in sql
    assert re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), escaped) == name


def test_a_location_has_no_variable_of_hive() -> None:
    assert "${" not in ddl(fields(a={"type": "string"}), "hive", location="s3://lake/${env:PATH}/")


@pytest.mark.parametrize(
    ("schema", "options", "pointer"),
    [
        (fields(URL={"type": "string"}, Url={"type": "string"}), {}, "/properties/Url"),
        (fields(**{"a.b": {"type": "string"}}), {}, "/properties/a.b"),
        (
            fields(Id={"type": "string"}, x=fields(id={"type": "string"})),
            {"format": "json"},
            "/properties/x/properties/id",
        ),
    ],
)
def test_names_that_would_be_one_are_an_error(
    schema: dict[str, Any], options: dict[str, str], pointer: str
) -> None:
    with pytest.raises(NoType) as refused:
        ddl(schema, **options)

    assert refused.value.pointer == pointer
