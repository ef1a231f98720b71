"""Open the pool and single connections to PostgreSQL, and convert rows to structs.

Only this module knows how asyncpg reports an unavailable server: the pool and its connections
raise DatabaseUnavailable, so an OSError that reaches a caller never comes from PostgreSQL.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar, cast

import asyncpg
import msgspec
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy
from typing_extensions import override

from app.database_checks import CHECK_SERVER, CHECK_TABLES, ServerFacts, refusal_of
from app.database_transactions import EndingTransaction, Isolation
from app.errors import CrivoError
from app.outages import DatabaseFull, DatabaseUnavailable, Outage, reason_of
from app.settings import Settings

# As text: asyncpg's classes are generic only to a type checker.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Awaitable[Any]])

OUTAGE: Final = Outage("PostgreSQL")

# What asyncpg raises when PostgreSQL is unavailable. Outside this module, an OSError can come
# from anything.
_UNAVAILABLE_ERRORS: Final = (
    # Including TimeoutError.
    OSError,
    asyncpg.PostgresConnectionError,
    # A shutdown or a start of the server, a statement cancelled by an operator.
    asyncpg.OperatorInterventionError,
    # The server cannot read or write its disk.
    asyncpg.PostgresSystemError,
    # Too many connections, no memory, no disk.
    asyncpg.InsufficientResourcesError,
    # The server is a standby, during a failover.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # Raised by asyncpg itself for a connection that broke while in use.
    asyncpg.InternalClientError,
)

_SERVER_SETTINGS = {"application_name": "crivo", "timezone": "UTC"}

# The newest migration that this code needs. It keeps working with later ones.
SCHEMA_REVISION = "0033"


class DatabaseRefuses(CrivoError):
    """PostgreSQL answers, but refuses access, or is a server that this code cannot use."""


class SchemaMissing(CrivoError):
    """The database lacks migrations that this code needs."""


def _unavailable(error: Exception) -> DatabaseUnavailable:
    reason = reason_of(error)
    OUTAGE.failed(reason)
    full = isinstance(error, asyncpg.DiskFullError)
    return DatabaseFull(reason=reason) if full else DatabaseUnavailable(reason=reason)


def _translating(method: M) -> M:
    """Wrap a method of asyncpg's connection so that it raises DatabaseUnavailable."""

    @wraps(method)
    async def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on unchanged
        try:
            result = await method(*args, **options)
        except _UNAVAILABLE_ERRORS as error:
            # asyncpg.InterfaceError can be a ValueError: an argument that does not fit its type.
            if isinstance(error, ValueError):
                raise
            raise _unavailable(error) from error
        OUTAGE.worked()
        return result

    return cast("M", call)


class _Connection(asyncpg.Connection):
    """A connection whose statements raise DatabaseUnavailable; its transactions use `execute`."""

    copy_records_to_table = _translating(asyncpg.Connection.copy_records_to_table)
    execute = _translating(asyncpg.Connection.execute)
    executemany = _translating(asyncpg.Connection.executemany)
    fetch = _translating(asyncpg.Connection.fetch)
    fetchrow = _translating(asyncpg.Connection.fetchrow)
    fetchval = _translating(asyncpg.Connection.fetchval)

    @override
    def transaction(
        self,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        deferrable: bool = False,
    ) -> EndingTransaction:
        """Return a transaction, to be entered."""
        return EndingTransaction(self, isolation, readonly, deferrable)


class _Acquired:
    """A connection of the pool for the length of a block."""

    def __init__(self, context: "PoolAcquireContext[asyncpg.Record]") -> None:
        self._context = context

    async def __aenter__(self) -> Connection:
        try:
            return await self._context.__aenter__()
        except (*_UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
            # A new connection may be refused as well, such as after a change of the password.
            raise _unavailable(error) from error

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error of releasing a broken connection says nothing about the statements before.
        with suppress(*_UNAVAILABLE_ERRORS, DatabaseUnavailable):
            await self._context.__aexit__(kind, error, trace)
        if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
            # The connection broke between two statements, and the pool has taken it back.
            raise _unavailable(error) from error


class Pool:
    """The connections of one process; all of its methods raise DatabaseUnavailable."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        """Wrap an open pool."""
        self._pool = pool

    def acquire(self, *, timeout: float | None = None) -> _Acquired:
        """Acquire a connection for a block; wait at most `timeout` seconds for it."""
        return _Acquired(self._pool.acquire(timeout=timeout))

    async def execute(self, statement: str, *values: object) -> str:
        """Run a statement on a connection of the pool; return its status."""
        async with self.acquire() as conn:
            return await conn.execute(statement, *values)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run a statement on a connection of the pool; return its rows."""
        async with self.acquire() as conn:
            return await conn.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """Run a statement on a connection of the pool; return its first row."""
        async with self.acquire() as conn:
            return await conn.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:  # noqa: ANN401 - any column
        """Run a statement on a connection of the pool; return the first value of its first row."""
        async with self.acquire() as conn:
            return await conn.fetchval(statement, *values)

    def get_size(self) -> int:
        """Count the connections."""
        return self._pool.get_size()

    def get_idle_size(self) -> int:
        """Count the idle connections."""
        return self._pool.get_idle_size()

    def get_max_size(self) -> int:
        """Return the maximum number of connections."""
        return self._pool.get_max_size()


# What a statement can run on. As text, since `Connection` is one.
Queryable: TypeAlias = "Connection | Pool"


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on `settings.database_url` for the length of the block.

    Raises DatabaseUnavailable when the server cannot be reached, DatabaseRefuses for a wrong
    name or password and for a server that this code cannot use, SchemaMissing when migrations
    are missing.
    """
    pool = asyncpg.create_pool(
        settings.database_url,
        min_size=1,
        max_size=settings.db_pool_size,
        command_timeout=30,
        server_settings=_SERVER_SETTINGS,
        connection_class=_Connection,
        init=partial(_initialize, settings),
        reset=_skip_reset,
    )
    async with AsyncExitStack() as stack:
        with _translating_refusals():
            await stack.enter_async_context(pool)
            opened = Pool(pool)
            await _require_usable(opened)
            await _require_schema(opened)
        yield opened


@asynccontextmanager
async def open_connection(
    settings: Settings, **server_settings: str
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Open a connection outside the pool for the length of the block, to listen or to publish.

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
    except (*_UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
        raise _unavailable(error) from error
    try:
        yield connection
    finally:
        with suppress(*_UNAVAILABLE_ERRORS):
            await connection.close(timeout=1)


@contextmanager
def _translating_refusals() -> Iterator[None]:
    """Distinguish a server that refuses access from one that does not answer."""
    try:
        yield
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as error:
        raise DatabaseRefuses(f"PostgreSQL says: {error}; see DATABASE_URL") from None
    except ValueError as error:
        # Without the URL, which may hold a password.
        raise DatabaseRefuses(f"DATABASE_URL cannot be read: {error}") from None
    except _UNAVAILABLE_ERRORS as error:
        raise _unavailable(error) from error


def from_row(struct: type[T], row: asyncpg.Record | Mapping[str, Any]) -> T:
    """Convert a row to a struct with the same field names."""
    return msgspec.convert(dict(row), struct)


def optional_from_row(struct: type[T], row: asyncpg.Record | None) -> T | None:
    """Convert a row to a struct, and no row to None."""
    return None if row is None else from_row(struct, row)


SELECT_REVISION = """
SELECT version_num
FROM alembic_version
"""


async def _require_usable(pool: Pool) -> None:
    facts = from_row(ServerFacts, *await pool.fetch(CHECK_SERVER))
    if refusal := refusal_of(facts):
        raise DatabaseRefuses(refusal)
    if denied := await pool.fetchval(CHECK_TABLES):
        raise DatabaseRefuses(f"the role {facts.role} may not read and write the tables {denied}")


async def _require_schema(pool: Pool) -> None:
    try:
        revision = await pool.fetchval(SELECT_REVISION)
    except asyncpg.UndefinedTableError:
        revision = None
    if revision is None or revision < SCHEMA_REVISION:
        raise SchemaMissing(
            f"the database is at revision {revision or 'none'}, this code needs {SCHEMA_REVISION}: "
            "run `python -m alembic upgrade head`"
        )


async def _skip_reset(connection: Connection) -> None:
    """Replace asyncpg's reset, which costs a round trip at every release.

    It would undo SET, LISTEN, cursors and session locks, which no code uses on a connection of
    the pool. asyncpg itself ends an open transaction before the reset.
    """


# Read by the trigger that applies the default quota to tenants without their own as results are
# recorded. It lasts as long as the connection, which is never reset.
SET_DEFAULT_QUOTA = """
SELECT set_config('crivo.default_max_stored_bytes', $1, false)
"""


async def _initialize(settings: Settings, connection: Connection) -> None:
    await set_codecs(connection)
    if settings.default_max_stored_bytes:
        await connection.execute(SET_DEFAULT_QUOTA, str(settings.default_max_stored_bytes))


async def set_codecs(connection: Connection) -> None:
    """Encode and decode `jsonb` as JSON on a connection."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
