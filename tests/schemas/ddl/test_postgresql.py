"""PostgreSQL runs what is written for it, and hostile names stay names."""

from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest

from app.db import Connection
from app.schemas.ddl import NoType
from tests.support.tables import ddl, fields

_SCHEMA: Final[dict[str, Any]] = {
    **fields(
        id={"type": "integer", "minimum": 0, "maximum": 9},
        price={"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 999.99},
        ratio={"type": "number"},
        at={"type": "string", "format": "date-time"},
        code={"type": "string", "minLength": 2, "maxLength": 2},
        tags={"type": "array", "items": {"type": "string"}},
        by=fields(order={"type": "boolean"}),
        blob={"type": "string", "contentEncoding": "base64"},
        key={"type": "string", "format": "uuid"},
    ),
    "required": ["id"],
}
_COLUMNS: Final = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)
    FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum
"""


@pytest.fixture
async def conn(empty_database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database of this test: what it creates would stay in another one."""
    conn = await asyncpg.connect(empty_database_url)
    yield conn
    await conn.close()


async def test_a_table_has_the_types(conn: Connection) -> None:
    await conn.execute(
        ddl(_SCHEMA, "postgresql", name="events", partition=["year:int", "day:date"])
    )
    columns = await conn.fetch(_COLUMNS, "events")

    assert [tuple(column) for column in columns] == [
        ("id", "smallint", True, None),
        ("price", "numeric(5,2)", False, None),
        ("ratio", "double precision", False, None),
        (
            "at",
            "timestamp with time zone",
            False,
            "a moment in UTC, the offset is not kept",
        ),
        ("code", "character(2)", False, None),
        ("tags", "text[]", False, None),
        ("by", "jsonb", False, "kept as jsonb"),
        ("blob", "text", False, "base64, as it is in JSON"),
        ("key", "uuid", False, None),
        ("year", "integer", True, None),
        ("day", "date", True, None),
    ]


_HOSTILE: Final = (
    'x" (a int); DROP TABLE kept; --',
    "x'); DROP TABLE kept; --",
    "a\\';b",
    "/* -- ; é",
)


async def test_names_do_not_leave_their_quotes(conn: Connection) -> None:
    await conn.execute("CREATE SCHEMA hostile CREATE TABLE kept (a int)")
    for name in _HOSTILE:
        schema = fields(**{name: {"type": "integer"}})
        await conn.execute(ddl(schema, "postgresql", name=f"hostile.{name}"))
    columns = await conn.fetch(
        "SELECT table_name::text, column_name::text FROM information_schema.columns"
        " WHERE table_schema = 'hostile'"
    )

    expected = [("kept", "a"), *((name, name) for name in _HOSTILE)]
    assert sorted(map(tuple, columns)) == sorted(expected)


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    with pytest.raises(NoType, match="at most 63 bytes"):
        ddl(fields(**{"a" * 64: {"type": "string"}}), "postgresql")
