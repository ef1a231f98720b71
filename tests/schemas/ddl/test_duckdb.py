"""DuckDB runs what is written for it: tables, and views over files of both formats."""

import json
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from app.schemas.ddl import NoType
from tests.support.tables import ddl, fields

_SCHEMA: Final[dict[str, Any]] = {
    **fields(
        id={"type": "integer", "minimum": 0, "maximum": 2**40},
        price={"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 999.99},
        at={"type": "string", "format": "date-time"},
        day={"type": ["string", "null"], "format": "date"},
        tags={"type": "array", "items": {"type": "string"}},
        by=fields(**{"order": {"type": "boolean"}, 'a "b"': {"type": "string"}}),
        counts={"type": "object", "additionalProperties": {"type": "integer", "maximum": 9}},
        key={"type": "string", "format": "uuid"},
    ),
    "required": ["id"],
}
_EVENT: Final = {
    "id": 1,
    "price": 12.5,
    "at": "2026-01-31T12:00:00+01:00",
    "day": None,
    "tags": ["a", "b"],
    "by": {"order": True, 'a "b"': "text"},
    "counts": {"x": 1},
    "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
}
_KINDS: Final = {
    "id": "BIGINT",
    "price": "DECIMAL(5,2)",
    "at": "TIMESTAMP WITH TIME ZONE",
    "day": "DATE",
    "tags": "VARCHAR[]",
    "by": 'STRUCT("order" BOOLEAN, "a ""b""" VARCHAR)',
    "counts": "MAP(VARCHAR, BIGINT)",
    "key": "UUID",
    "year": "SMALLINT",
}


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    found.execute("SET TimeZone = 'UTC'; CREATE SCHEMA db")
    return found


def _kinds(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    described = database.execute('DESCRIBE SELECT * FROM db."events"').fetchall()
    return {name: kind for name, kind, *_ in described}


def test_a_table_has_the_types(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(ddl(_SCHEMA, "duckdb", partition=["year:smallint"]))

    assert _kinds(database) == _KINDS
    with pytest.raises(duckdb.ConstraintException, match="NOT NULL"):
        database.execute("INSERT INTO db.events (price) VALUES (1)")


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_view_reads_the_files(
    database: duckdb.DuckDBPyConnection, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "who's ü (1)"
    folder = place / "year=2026"
    folder.mkdir(parents=True)
    lines = folder / "part.json"
    lines.write_text(json.dumps(_EVENT) + "\n" + json.dumps({"id": 2}) + "\n")
    quoted = str(folder).replace("'", "''")
    if kind == "parquet":
        database.execute(ddl(_SCHEMA, "duckdb", name="staged", location=str(lines), format="json"))
        database.execute(f"COPY staged TO '{quoted}/part.parquet'")

    database.execute(
        ddl(
            _SCHEMA,
            "duckdb",
            format=kind,
            location=str(place),
            partition=["year:smallint"],
        )
    )

    assert _kinds(database) == _KINDS
    rows = database.execute(
        'SELECT id, price::VARCHAR, "at"::VARCHAR, day, tags, "by", counts, key::VARCHAR, year'
        " FROM db.events ORDER BY id"
    ).fetchall()
    assert rows[0] == (
        1,
        "12.50",
        "2026-01-31 11:00:00+00",
        None,
        ["a", "b"],
        {"order": True, 'a "b"': "text"},
        {"x": 1},
        _EVENT["key"],
        2026,
    )
    assert rows[1][:2] == (2, None)


def test_names_that_differ_in_case_are_one() -> None:
    with pytest.raises(NoType, match="one name to DuckDB"):
        ddl(fields(a={"type": "string"}, A={"type": "string"}), "duckdb")


@pytest.mark.parametrize(
    "name",
    ['x" (a int); DROP TABLE kept; --', "x'); DROP TABLE kept; --", "a\\';b", "/* */ -- ;", "é 😀"],
)
def test_names_do_not_leave_their_quotes(database: duckdb.DuckDBPyConnection, name: str) -> None:
    database.execute("CREATE TABLE kept (a int)")
    schema = fields(**{name: {"type": "integer"}, "in": fields(**{name: {"type": "integer"}})})

    database.execute(ddl(schema, "duckdb", name=f"db.{name.replace('.', '')}"))

    tables = database.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert sorted(tables) == sorted([("kept",), (name,)])
    columns = database.execute("SELECT column_name FROM duckdb_columns() WHERE schema_name = 'db'")
    assert columns.fetchall() == [(name,), ("in",)]
