"""PostgreSQL: the pool, its codecs, and rows into structs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias, TypeVar

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from app.errors import CrivoError
from app.settings import Settings

# As text: asyncpg's classes are generic only to a type checker.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

T = TypeVar("T")

# What a caller sees when PostgreSQL is away or going: worth another try a little later.
UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    # A shutdown, a start, a statement that an operator cancelled.
    asyncpg.OperatorInterventionError,
    # Too many connections, no memory, no disk.
    asyncpg.InsufficientResourcesError,
    # A standby, in the middle of a failover.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # asyncpg's own, of a connection that broke while it was used.
    asyncpg.InternalClientError,
)

_SERVER_SETTINGS = {"application_name": "crivo", "timezone": "UTC"}

# The newest migration that this code needs; later ones are made so that it goes on working.
SCHEMA_REVISION = "0011"


class DatabaseRefuses(CrivoError):
    """PostgreSQL answers, and does not let us in."""


class SchemaMissing(CrivoError):
    """The database has not been migrated as far as this code needs."""


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on `settings.database_url`; closed with the context.

    Raises one of UNAVAILABLE when the server cannot be reached, DatabaseRefuses for a wrong
    name or password, SchemaMissing when the migrations have not been run.
    """
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=settings.db_pool_size,
        command_timeout=30,
        server_settings=_SERVER_SETTINGS,
        init=_set_codecs,
        reset=_nothing_to_reset,
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(pool)
        except (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ) as no:
            raise DatabaseRefuses(f"PostgreSQL says: {no}; see DATABASE_URL") from None
        await _require_schema(pool)
        yield pool


@asynccontextmanager
async def open_connection(
    settings: Settings, **server_settings: str
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Open a connection outside the pool, for what keeps one; closed with the context.

    Raises one of UNAVAILABLE.
    """
    connection = await asyncpg.connect(
        settings.database_url,
        timeout=10,
        command_timeout=10,
        server_settings={**_SERVER_SETTINGS, **server_settings},
    )
    try:
        yield connection
    finally:
        with suppress(*UNAVAILABLE):
            await connection.close(timeout=1)


def into(shape: type[T], row: asyncpg.Record) -> T:
    """Turn a row into a struct with the same field names."""
    return msgspec.convert(dict(row), shape)


def optional_into(shape: type[T], row: asyncpg.Record | None) -> T | None:
    """Turn a row, or no row, into a struct or None."""
    return None if row is None else into(shape, row)


SELECT_REVISION = """
SELECT version_num
FROM alembic_version
"""


async def _require_schema(pool: Pool) -> None:
    try:
        found = await pool.fetchval(SELECT_REVISION)
    except asyncpg.UndefinedTableError:
        found = None
    if found is None or found < SCHEMA_REVISION:
        raise SchemaMissing(
            f"the database is at revision {found or 'none'}, this code needs {SCHEMA_REVISION}: "
            "run `python -m alembic upgrade head`"
        )


async def _nothing_to_reset(connection: Connection) -> None:
    """Take the place of asyncpg's reset, which costs a round trip at every release.

    It would undo SET, LISTEN, cursors and session locks, and nobody uses these on a connection
    of the pool. A transaction that is still open asyncpg ends by itself, before this.
    """


async def _set_codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
