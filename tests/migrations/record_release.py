"""Record what a release needs of the database: its statements, their parameters and columns.

Run at each release, on the commit that is tagged:

    .venv/bin/python -m tests.migrations.record_release

tests/migrations/test_rolling_upgrade.py holds every later schema to the newest record. Where git
has the commit that the record names, it also runs that release's own processes.
"""

import asyncio
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from app.db import SCHEMA_REVISION
from app.embedded.servers import embedded_servers
from app.version import VERSION
from tests.conventions.statements import statements
from tests.servers import ROOT, alembic

RELEASES: Final = Path(__file__).with_name("releases")


class Statement(Struct, frozen=True, kw_only=True):
    """A statement, with the types that the release's code sends and reads."""

    text: str
    parameters: list[str]
    columns: dict[str, str]


class Release(Struct, frozen=True, kw_only=True):
    """What a release needs of the database."""

    version: str
    commit: str
    schema_revision: str
    statements: dict[str, Statement]


async def describe(connection: "asyncpg.Connection[asyncpg.Record]", text: str) -> Statement:
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


async def _record(database_url: str) -> Release:
    connection = await asyncpg.connect(database_url)
    try:
        described = {
            name: await describe(connection, text) for name, text in statements().items()
        }
    finally:
        await connection.close()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    return Release(
        version=VERSION, commit=commit, schema_revision=SCHEMA_REVISION, statements=described
    )


def _main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="crivo-record-") as folder,
        embedded_servers(Path(folder), durable=False) as servers,
    ):
        alembic(servers.database_url, "upgrade", "head")
        release = asyncio.run(_record(servers.database_url))
    record = msgspec.json.format(msgspec.json.encode(release), indent=1) + b"\n"
    (RELEASES / f"{release.version}.json").write_bytes(record)


if __name__ == "__main__":
    _main()
