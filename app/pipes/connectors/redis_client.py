"""Open the Redis that has the streams of pipes, and say what is wrong with it."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from app.outages import Outage, reason_of
from app.pipes.connectors.model import ConnectorUnavailable
from app.settings import Settings

# How long a command may take beyond the time that it waits for events.
COMMAND_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_MAX_REASON: Final = 200

_OUTAGE: Final = Outage("Redis of pipes")
# Whatever else a server says stands in front of its text.
_BY_PREFIX: Final = {
    "MISCONF": "Redis refuses writes, as it cannot store them on its disk",
    "MOVED": "Redis is a cluster, which pipes do not support",
    "CLUSTERDOWN": "Redis is a cluster, which pipes do not support",
    "MASTERDOWN": "Redis is a replica without its master",
    "NOREPLICAS": "Redis refuses writes, as too few replicas follow it",
    "BUSY": "Redis is busy with a script",
}
_QUOTED: Final = " of pipeline caused error: "
_GONE: Final = ("NOGROUP", "UNBLOCKED", "no such key")
_BY_TYPE: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (NoPermissionError, "the user of CRIVO_PIPE_REDIS_URL may not use the streams of pipes"),
    (AuthenticationError, "Redis wants another password: see CRIVO_PIPE_REDIS_URL"),
    (ReadOnlyError, "Redis is a replica, which takes no writes"),
    (OutOfMemoryError, "Redis has no memory left"),
    (BusyLoadingError, "Redis is loading its data"),
)


def stream_key(tenant: str, stream: str) -> str:
    """Return the key of a tenant's stream, which nobody else's stream has.

    The name of a tenant has no colon.
    """
    return f"crivo:pipes:{tenant}:{stream}"


class RedisLink:
    """One stream of Redis, with errors that the pipe's owner understands."""

    def __init__(self, client: Redis, tenant: str, stream: str) -> None:
        """Take an open client, and the names of a tenant and its stream."""
        self.client = client
        self.tenant = tenant
        self.stream = stream
        self.key = stream_key(tenant, stream)

    async def call(self, *command: bytes | str | float) -> Any:  # noqa: ANN401 - as Redis has it
        """Run a command and return its reply as it is. Raises ConnectorUnavailable, GroupIsGone."""
        reply = self.client.execute_command(*command)  # type: ignore[no-untyped-call] # a part of redis-py is untyped
        return await self.reply_of(reply)

    async def reply_of(self, reply: Awaitable[object]) -> Any:  # noqa: ANN401 - as Redis has it
        """Wait for a reply. Raises ConnectorUnavailable, GroupIsGone."""
        try:
            value = await reply
        except (RedisError, OSError) as error:
            raise await self.unavailable(error) from None
        _OUTAGE.worked()
        return value

    async def unavailable(self, error: Exception) -> Exception:
        """Return what an error means for the pipe."""
        # redis-py quotes a transaction's command in front, and with it the event.
        text = reason_of(error).rpartition(_QUOTED)[2].strip("(',\")")
        if isinstance(error, ResponseError) and text.startswith(_GONE):
            return GroupIsGone(text)
        if isinstance(error, ResponseError) and text.startswith("WRONGTYPE"):
            return ConnectorUnavailable(f"the key {self.key} of Redis holds something else")
        _OUTAGE.failed(text)
        # After a failover the name of the server may lead to another.
        await self.client.connection_pool.disconnect(inuse_connections=False)
        return ConnectorUnavailable(_meaning_of(error, text))


class GroupIsGone(Exception):
    """The stream or its consumer group was deleted, or Redis has lost its data."""


@asynccontextmanager
async def open_redis(settings: Settings, *, tenant: str, stream: str) -> AsyncIterator[RedisLink]:
    """Open a client for the length of the block; the first command connects."""
    client: Redis = Redis.from_url(
        settings.pipe_redis_url or settings.redis_url,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        # A command that may have been carried out is for the pipe to send again.
        retry=Retry(NoBackoff(), 0),
    )
    # Replies as they are: the parsers of redis-py leave out cursors and repeated fields.
    client.response_callbacks.clear()
    try:
        yield RedisLink(client, tenant, stream)
    finally:
        await cast("Awaitable[None]", client.aclose())


def by_name(reply: object) -> dict[bytes, bytes]:
    """Read a reply of names and values by turns."""
    assert isinstance(reply, list)  # noqa: S101 - as the protocol has it
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _meaning_of(error: Exception, text: str) -> str:
    # redis-py reports what a server says to a new connection as a cause.
    for each in (error, error.__cause__, error.__context__):
        for kind, meaning in _BY_TYPE:
            if isinstance(each, kind):
                return meaning
    prefix = text.partition(" ")[0]
    if prefix in _BY_PREFIX:
        return _BY_PREFIX[prefix]
    if isinstance(error, ResponseError):
        return f"Redis says: {text[:_MAX_REASON]}"
    # Its address is the operator's business.
    return "Redis does not answer"
