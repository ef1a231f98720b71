"""Upgrade the database to the newest revision; fast if nothing needs to be done."""

import ast
import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from app.database_checks import CHECK_SERVER, ServerFacts, refusal_of
from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.processes import guarded, log_tail
from app.environment import without_files

_ROOT: Final = Path(__file__).parents[2]
_CONNECT_SECONDS: Final = 20.0


def migrate(url: str, log: Path) -> None:
    """Upgrade to the newest revision.

    Raises CannotStart if the database cannot be reached or has an unknown revision;
    ServiceFailed with the tail of the log if a migration fails.
    """
    revisions = _revisions(_ROOT / "migrations" / "versions")
    server, current = asyncio.run(_inspect(url))
    newest = set(revisions) - set(revisions.values())
    if refusal := refusal_of(server, to_migrate={current} != newest):
        raise CannotStart(refusal)
    if current is not None and current not in revisions:
        message = f"the database has revision {current}, which this version of Crivo does not know"
        raise CannotStart(message)
    if {current} == newest:
        return
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = guarded([sys.executable, "-m", "alembic", "upgrade", "head"], "self")
    with log.open("wb") as out:
        done = subprocess.run(  # noqa: S603 - fixed argv
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**without_files(), "DATABASE_URL": url},
            cwd=_ROOT,
            check=False,
            start_new_session=True,
        )
    if done.returncode != 0:
        message = f"the migration failed with exit code {done.returncode}{log_tail(log)}"
        raise ServiceFailed(message)


async def _inspect(url: str) -> tuple[ServerFacts, str | None]:
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        # Without the URL, which may contain a password.
        message = f"the database of DATABASE_URL cannot be reached: {reason}"
        raise CannotStart(message) from None
    revision: str | None = None
    try:
        server = msgspec.convert(dict(*await connection.fetch(CHECK_SERVER)), ServerFacts)
        with suppress(asyncpg.UndefinedTableError):
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.PostgresError as error:
        raise CannotStart(f"PostgreSQL reports: {error}; see DATABASE_URL") from None
    finally:
        await connection.close()
    return server, revision


def _revisions(folder: Path) -> dict[str, str | None]:
    """Map each revision to its predecessor, without executing the files.

    Alembic itself would take half a second.
    """
    revisions: dict[str, str | None] = {}
    for file in folder.glob("*.py"):
        values: dict[str, str] = {}
        for node in ast.parse(file.read_bytes()).body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value)))
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value)))
                ):
                    values[name] = value
                case _:
                    pass
        if "revision" in values:
            revisions[values["revision"]] = values.get("down_revision")
    return revisions
