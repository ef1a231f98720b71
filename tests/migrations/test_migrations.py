"""The migrations go up and down, and give the schema that is written down."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT, alembic


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


def test_two_migrations_at_once_take_turns(empty_database_url: str) -> None:
    async def migrate_twice() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(asyncio.to_thread(alembic, empty_database_url, "upgrade", "head"))

    asyncio.run(migrate_twice())

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
