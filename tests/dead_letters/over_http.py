"""Dead letters of a system that runs, without a pipe that runs."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg

from app.db import set_codecs
from app.dead_letters.model import NewDeadLetter
from app.dead_letters.store import insert_dead_letters
from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import insert_pipe
from tests.support.system import System


def insert_letters(
    system: System, letters: Sequence[NewDeadLetter], tenant: UUID = DEFAULT_TENANT
) -> tuple[str, list[str]]:
    """Insert letters of a new pipe; return its name and their ids, the oldest first."""
    name = f"pipe-{uuid4()}"

    async def insert() -> list[str]:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            await set_codecs(conn)
            pipe = await insert_pipe(conn, name, tenant)
            await insert_dead_letters(conn, tenant, pipe, letters)
            rows = await conn.fetch(
                "SELECT id FROM dead_letters WHERE pipe_id = $1 ORDER BY id", pipe
            )
            return [str(row["id"]) for row in rows]
        finally:
            await conn.close()

    return name, asyncio.run(insert())
