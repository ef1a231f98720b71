"""The files of migrations/sql are the functions of the database, and stay as they were released."""

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from app.db import Connection, Pool
from tests.migrations.record_release import RELEASES, SQL_FILES, Release, sha256

FILES: Final = sorted(SQL_FILES.glob("*.sql"))
# Extensions have functions of their own, and are not the migrations' to describe.
_DEFINITIONS: Final = """
SELECT p.proname, pg_get_functiondef(p.oid) AS definition
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


async def test_the_database_has_the_functions_of_the_files(pool: Pool) -> None:
    async with pool.acquire() as connection:
        migrated = await _definitions(connection)
        transaction = connection.transaction()
        await transaction.start()
        for path in FILES:
            await connection.execute(path.read_text(encoding="utf-8"))
        written = await _definitions(connection)
        await transaction.rollback()

    assert {path.stem for path in FILES} == set(migrated)
    assert migrated == written


async def test_there_are_no_views_yet(pool: Pool) -> None:
    # A view gets a file, too, and its part of the test above.
    assert await pool.fetchval("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_creates_the_object_of_its_name_and_says_what_it_is_for(
    path: Path,
) -> None:
    text = path.read_text(encoding="utf-8")

    created = re.findall(
        r"^CREATE OR REPLACE (?:FUNCTION|PROCEDURE|VIEW) (\w+)", text, re.MULTILINE
    )
    assert created == [path.stem]
    assert re.match(r"-- [A-Z][^\n]+", text)


@pytest.mark.parametrize("record", sorted(RELEASES.glob("*.json")), ids=lambda path: path.stem)
def test_a_released_file_never_changes(record: Path) -> None:
    released = msgspec.json.decode(record.read_bytes(), type=Release).sql_files

    # A new text is a new version, in a file of its own.
    assert {name: sha256(SQL_FILES / name) for name in released} == released


async def _definitions(connection: Connection) -> dict[str, str]:
    return {row["proname"]: row["definition"] for row in await connection.fetch(_DEFINITIONS)}
