"""Run migrations on the database that DATABASE_URL names."""

import asyncio
import sys
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from app.environment import InvalidSetting, text_of

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
        try:
            return await asyncpg.connect(url, server_settings={"application_name": "crivo-migrate"})
        except (OSError, asyncpg.PostgresError) as error:
            # A wrong password, most of all: what it means is in one line, and not in its stack.
            sys.exit(f"crivo: PostgreSQL says: {error}; see DATABASE_URL")

    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, connect_args={"async_creator_fn": connect}
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate_in_one_transaction)
    await engine.dispose()


def _migrate_in_one_transaction(connection: Connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        # Before the version is read: who waited here reads what the other has written.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        context.run_migrations()


_migrate()
