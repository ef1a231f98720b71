"""Record what a release needs of the database: its statements, their parameters and columns.

Run at each release, on the commit that is tagged:

    .venv/bin/python -m tests.migrations.record_release

tests/migrations/test_rolling_upgrade.py holds every later schema to the newest record. Where git
has the commit that the record names, it also runs that release's own processes.
"""

import asyncio
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from app.db import SCHEMA_REVISION, Connection
from app.embedded.servers import embedded_servers
from app.version import VERSION
from tests.conventions.statements import statements
from tests.support.servers import ROOT, alembic

SQL_FILES: Final = ROOT / "migrations" / "sql"
RELEASES: Final = Path(__file__).with_name("releases")


class Statement(Struct, frozen=True, kw_only=True):
    """A statement, with the types that the release's code sends and reads."""

    text: str
    parameters: list[str]
    columns: dict[str, str]


class Release(Struct, frozen=True, kw_only=True):
    """What a release needs of the database; `sql_files`: the hashes of the files it has shipped."""

    version: str
    commit: str
    schema_revision: str
    statements: dict[str, Statement]
    sql_files: dict[str, str]


async def describe(connection: Connection, text: str) -> Statement:
    """Prepare a statement and read its types. Raises what PostgreSQL refuses."""
    prepared = await connection.prepare(text)
    return Statement(
        text=text,
        parameters=[each.name for each in prepared.get_parameters()],
        columns={each.name: each.type.name for each in prepared.get_attributes()},
    )


def newest_release() -> Release:
    """Read the newest record."""
    releases = [
        msgspec.json.decode(path.read_bytes(), type=Release) for path in RELEASES.glob("*.json")
    ]
    return max(releases, key=lambda each: tuple(map(int, each.version.split("."))))


def git(*arguments: str) -> bytes:
    """Run git on this repository. Raises OSError without git, CalledProcessError if it fails."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _record(database_url: str, *, commit: str) -> Release:
    connection = await asyncpg.connect(database_url)
    try:
        described = {name: await describe(connection, text) for name, text in statements().items()}
    finally:
        await connection.close()
    return Release(
        version=VERSION,
        commit=commit,
        schema_revision=SCHEMA_REVISION,
        statements=described,
        sql_files={path.name: sha256(path) for path in sorted(SQL_FILES.glob("*.sql"))},
    )


def _main() -> None:
    commit = git("rev-parse", "HEAD").decode().strip()
    with (
        tempfile.TemporaryDirectory(prefix="crivo-record-") as folder,
        embedded_servers(Path(folder), durable=False) as servers,
    ):
        alembic(servers.database_url, "upgrade", "head")
        release = asyncio.run(_record(servers.database_url, commit=commit))
    record = msgspec.json.format(msgspec.json.encode(release), indent=1) + b"\n"
    (RELEASES / f"{release.version}.json").write_bytes(record)


if __name__ == "__main__":
    _main()
