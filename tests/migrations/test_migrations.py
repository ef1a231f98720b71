"""The migrations go up and down, and give the schema that is written down."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg

from tests.support.servers import ROOT, alembic


def test_down_undoes_up_and_up_comes_again(empty_database_url: str) -> None:
    empty = schema_of(empty_database_url)
    alembic(empty_database_url, "upgrade", "head")
    first = schema_of(empty_database_url)

    alembic(empty_database_url, "downgrade", "base")
    after_down = schema_of(empty_database_url)
    alembic(empty_database_url, "upgrade", "head")

    assert "CREATE TABLE" in first
    assert empty == after_down
    assert first == schema_of(empty_database_url)


def test_the_written_schema_is_the_migrated_one(database_url: str) -> None:
    written = (ROOT / "migrations" / "schema.sql").read_text(encoding="utf-8")

    assert written == schema_of(database_url), "run scripts/schema --write"


async def test_a_migration_waits_for_one_that_runs(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        # What another migration holds: the lock of migrations/env.py.
        await connection.execute("SELECT pg_advisory_lock(x'637269766f'::bigint)")
        migration = asyncio.create_task(
            asyncio.to_thread(alembic, empty_database_url, "upgrade", "head")
        )
        while not migration.done() and not await connection.fetchval(  # noqa: ASYNC110 - no event tells
            """
            SELECT EXISTS (
                SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
                WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted
            )
            """
        ):
            await asyncio.sleep(0.01)  # between two looks at a condition, not instead of one
        went_ahead = migration.done()
        await connection.execute("SELECT pg_advisory_unlock_all()")
        await migration
    finally:
        await connection.close()

    assert not went_ahead
    assert "CREATE TABLE executions" in schema_of(empty_database_url)


def test_a_missing_url_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == ("crivo: DATABASE_URL says which database to migrate; it is not set\n")


def schema_of(database_url: str) -> str:
    return subprocess.run(
        [sys.executable, "scripts/schema"],
        cwd=ROOT,
        env={"DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
