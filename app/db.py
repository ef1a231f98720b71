"""PostgreSQL: the pool, its codecs, and rows into structs.

Whatever makes PostgreSQL unavailable is raised here as DatabaseUnavailable, by the pool and its
connections themselves: an OSError that reaches a caller is never PostgreSQL's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar, cast

import asyncpg
import msgspec
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

from app.database_checks import CHECK_SERVER, CHECK_TABLES, ServerFacts, refusal_of
from app.errors import CrivoError
from app.outages import DatabaseFull, DatabaseUnavailable, Outage
from app.settings import Settings

# As text: asyncpg's classes are generic only to a type checker.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Awaitable[Any]])

OUTAGE: Final = Outage("PostgreSQL")

# What asyncpg raises when PostgreSQL is unavailable. Only this module may catch it: elsewhere an
# OSError can come from anything.
_CAUSES: Final = (
    # TimeoutError is one of them.
    OSError,
    asyncpg.PostgresConnectionError,
    # A shutdown, a start, a statement that an operator cancelled.
    asyncpg.OperatorInterventionError,
    # Its own disk cannot be read or written.
    asyncpg.PostgresSystemError,
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
SCHEMA_REVISION = "0015"


class DatabaseRefuses(CrivoError):
    """PostgreSQL answers, and does not let us in, or is not one that this code can use."""


class SchemaMissing(CrivoError):
    """The database has not been migrated as far as this code needs."""


def _unavailable(error: Exception) -> DatabaseUnavailable:
    reason = " ".join(str(error).split()) or type(error).__name__
    OUTAGE.failed(reason)
    full = isinstance(error, asyncpg.DiskFullError)
    return DatabaseFull(reason=reason) if full else DatabaseUnavailable(reason=reason)


def _translating(method: M) -> M:
    """Wrap a method of asyncpg's connection: it raises DatabaseUnavailable."""

    @wraps(method)
    async def call(*args: Any, **choices: Any) -> Any:  # noqa: ANN401 - passed on as they came
        try:
            found = await method(*args, **choices)
        except _CAUSES as error:
            # A ValueError: an argument that PostgreSQL's type does not take.
            if isinstance(error, ValueError):
                raise
            raise _unavailable(error) from error
        OUTAGE.worked()
        return found

    return cast("M", call)


class _Connection(asyncpg.Connection):
    """A connection whose statements raise DatabaseUnavailable; transactions use `execute`."""

    execute = _translating(asyncpg.Connection.execute)
    executemany = _translating(asyncpg.Connection.executemany)
    fetch = _translating(asyncpg.Connection.fetch)
    fetchrow = _translating(asyncpg.Connection.fetchrow)
    fetchval = _translating(asyncpg.Connection.fetchval)


class _Acquired:
    """A connection of the pool for the length of a block."""

    def __init__(self, context: "PoolAcquireContext[asyncpg.Record]") -> None:
        self._context = context

    async def __aenter__(self) -> Connection:
        try:
            return await self._context.__aenter__()
        except (*_CAUSES, asyncpg.PostgresError) as error:
            # Of a connection that is made now: a changed password, too.
            raise _unavailable(error) from error

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What a broken connection raises as it goes back says nothing of the statements before.
        with suppress(*_CAUSES, DatabaseUnavailable):
            await self._context.__aexit__(kind, error, trace)
        if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
            # The pool has taken the connection back: it broke between two statements.
            raise _unavailable(error) from error


class Pool:
    """The connections of one process. Whatever it gives raises DatabaseUnavailable."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        """Take an open pool."""
        self._pool = pool

    def acquire(self, *, timeout: float | None = None) -> _Acquired:
        """Have a connection for a block, waiting at most `timeout` seconds for it."""
        return _Acquired(self._pool.acquire(timeout=timeout))

    async def execute(self, statement: str, *values: object) -> str:
        """Run a statement on a connection of its own."""
        async with self.acquire() as conn:
            return await conn.execute(statement, *values)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Give a statement's rows, from a connection of its own."""
        async with self.acquire() as conn:
            return await conn.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """Give a statement's first row, from a connection of its own."""
        async with self.acquire() as conn:
            return await conn.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:  # noqa: ANN401 - any column
        """Give a statement's first value, from a connection of its own."""
        async with self.acquire() as conn:
            return await conn.fetchval(statement, *values)

    def get_size(self) -> int:
        """Count the connections."""
        return self._pool.get_size()

    def get_idle_size(self) -> int:
        """Count the connections that nobody uses."""
        return self._pool.get_idle_size()

    def get_max_size(self) -> int:
        """Give how many connections there may be."""
        return self._pool.get_max_size()


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on `settings.database_url`; closed with the context.

    Raises DatabaseUnavailable when the server cannot be reached, DatabaseRefuses for a wrong
    name or password and for a server that this code cannot use, SchemaMissing when the
    migrations have not been run.
    """
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=settings.db_pool_size,
        command_timeout=30,
        server_settings=_SERVER_SETTINGS,
        connection_class=_Connection,
        init=partial(_prepare, settings),
        reset=_nothing_to_reset,
    )
    async with AsyncExitStack() as stack:
        with _refusing():
            await stack.enter_async_context(pool)
            ours = Pool(pool)
            await _require_usable(ours)
            await _require_schema(ours)
        yield ours


@asynccontextmanager
async def open_connection(
    settings: Settings, **server_settings: str
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Open a connection outside the pool, for what keeps one; closed with the context.

    Raises DatabaseUnavailable.
    """
    try:
        connection = await asyncpg.connect(
            settings.database_url,
            timeout=10,
            command_timeout=10,
            server_settings={**_SERVER_SETTINGS, **server_settings},
            connection_class=_Connection,
        )
    except (*_CAUSES, asyncpg.PostgresError) as error:
        raise _unavailable(error) from error
    try:
        yield connection
    finally:
        with suppress(*_CAUSES):
            await connection.close(timeout=1)


@contextmanager
def _refusing() -> Iterator[None]:
    """Tell a server that does not let us in from one that does not answer, in one line."""
    try:
        yield
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as no:
        raise DatabaseRefuses(f"PostgreSQL says: {no}; see DATABASE_URL") from None
    except ValueError as error:
        # Without the URL: it may hold a password.
        raise DatabaseRefuses(f"DATABASE_URL cannot be read: {error}") from None
    except _CAUSES as error:
        raise _unavailable(error) from error


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


async def _require_usable(pool: Pool) -> None:
    facts = into(ServerFacts, *await pool.fetch(CHECK_SERVER))
    if refusal := refusal_of(facts):
        raise DatabaseRefuses(refusal)
    if closed := await pool.fetchval(CHECK_TABLES):
        raise DatabaseRefuses(f"the role {facts.role} may not read and write the tables {closed}")


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


# For the trigger that holds a tenant without a quota of its own to the installation's, as
# results are recorded. The connection keeps it: nothing is reset.
SET_DEFAULT_QUOTA = """
SELECT set_config('crivo.default_max_stored_bytes', $1, false)
"""


async def _prepare(settings: Settings, connection: Connection) -> None:
    await set_codecs(connection)
    if settings.default_max_stored_bytes:
        await connection.execute(SET_DEFAULT_QUOTA, str(settings.default_max_stored_bytes))


async def set_codecs(connection: Connection) -> None:
    """Have a connection read and write `jsonb` as JSON."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
