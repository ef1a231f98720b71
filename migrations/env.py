"""Run migrations on the database that DATABASE_URL names."""

import asyncio
import sys
from typing import Any

import asyncpg
import msgspec
from alembic import command, context
from sqlalchemy import Connection, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.database_checks import CHECK_SERVER, ServerFacts, refusal_of
from app.environment import InvalidSetting, text_of

# Missing rights and a full disk are for the operator to fix; a traceback would not help.
_IN_ONE_LINE = ("42501", "53100")
# Processes that migrate one database at once take turns; the second has nothing left to do.
_LOCK_KEY = 0x637269766F  # "crivo"


def _migrate() -> None:
    try:
        url = text_of("database_url")
    except InvalidSetting as error:
        sys.exit(f"crivo: {error}")
    if not url:
        sys.exit("crivo: DATABASE_URL says which database to migrate; it is not set")
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
    else:
        asyncio.run(_migrate_online(url))


async def _migrate_online(url: str) -> None:
    # asyncpg reads the URL itself, so it means here what it means to the service: SQLAlchemy reads
    # socket paths differently. Any: the type of SQLAlchemy's arguments.
    async def connect(*_args: Any, **_options: Any) -> Any:  # noqa: ANN401
        return await asyncpg.connect(url, server_settings={"application_name": "crivo-migrate"})

    # One line instead of Alembic's traceback.
    try:
        connection = await connect()
        server = msgspec.convert(dict(*await connection.fetch(CHECK_SERVER)), ServerFacts)
        await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        sys.exit(f"crivo: the database of DATABASE_URL cannot be used: {reason}")
    if refusal := refusal_of(server):
        sys.exit(f"crivo: {refusal}")
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, connect_args={"async_creator_fn": connect}
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate_in_one_transaction, server)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") not in _IN_ONE_LINE:
            raise
        sys.exit(f"crivo: the role {server.role} cannot migrate: {error.orig}")
    await engine.dispose()


# A claim locks the queue and then executions. A migration of both, in the other order, would be a
# deadlock with a worker that runs meanwhile.
_LOCK_QUEUE = """
DO $$
BEGIN
    IF to_regclass('queue') IS NOT NULL THEN
        LOCK TABLE queue IN ACCESS EXCLUSIVE MODE;
    END IF;
END
$$
"""


def _migrate_in_one_transaction(connection: Connection, server: ServerFacts) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        # Before the revision is read: a process that waited here reads what the other wrote.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        head = str(context.get_head_revision())
        current = context.get_context().get_current_heads()
        if max(current, default="") > head:
            _leave_to_newer_release(current[0], head)
            return
        if current != (head,) and (refusal := refusal_of(server, to_migrate=True)):
            sys.exit(f"crivo: {refusal}")
        if current != (head,):
            connection.exec_driver_sql(_LOCK_QUEUE)
        context.run_migrations()


def _leave_to_newer_release(current: str, head: str) -> None:
    """Accept a schema that a newer release has made: it keeps what this one needs."""
    line = f"crivo: the database is at revision {current}, newer than this release's {head}"
    options = context.config.cmd_opts
    if options is None or command.upgrade not in options.cmd:
        sys.exit(f"{line}, which cannot do this")
    sys.stderr.write(f"{line}: there is nothing to migrate\n")


_migrate()
