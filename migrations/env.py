"""Run migrations on the database that DATABASE_URL names."""

import asyncio
import sys
from typing import Any

import asyncpg
import msgspec
from alembic import context
from sqlalchemy import Connection, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.database_checks import CHECK_SERVER, ServerFacts, refusal_of
from app.environment import InvalidSetting, text_of

# Missing rights and a full disk: the operator's to heal, and no bug of a migration.
_IN_ONE_LINE = ("42501", "53100")
# Two processes that migrate one database at once take turns; the second finds nothing to do.
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
    # asyncpg reads the URL itself, so that it means here what it means to the service:
    # SQLAlchemy has its own idea of sockets. Any: the type of what SQLAlchemy hands through.
    async def connect(*_args: Any, **_options: Any) -> Any:  # noqa: ANN401
        return await asyncpg.connect(url, server_settings={"application_name": "crivo-migrate"})

    # In one line, not in Alembic's traceback.
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


def _migrate_in_one_transaction(connection: Connection, server: ServerFacts) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        # Before the version is read: who waited here reads what the other has written.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        there = context.get_context().get_current_heads() == (context.get_head_revision(),)
        if not there and (refusal := refusal_of(server, to_migrate=True)):
            sys.exit(f"crivo: {refusal}")
        context.run_migrations()


_migrate()
