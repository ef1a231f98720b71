"""Receive PostgreSQL notifications: any number of topics on one connection per process.

A notification is a hint: it may be lost with the connection or with its sender. Each topic
therefore has a `resync`, which finds what notifications have missed.

Modelled on River's `internal/notifier`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain
from typing import Final, TypeAlias

import structlog
from msgspec import Struct

from app.background import background, retry_forever
from app.db import Connection, open_connection
from app.settings import Settings

log = structlog.get_logger(__name__)

Resync: TypeAlias = Callable[[Connection], Awaitable[None]]

# The name of the listening connection in pg_stat_activity.
APPLICATION_NAME: Final = "crivo: notices"
# Upper bound on how late a lost notification is made up for, and a dead connection noticed.
RESYNC_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.2
_MAX_RETRY_SECONDS: Final = 1.0

KEEP_ALIVE = "SELECT true"


class _Topic(Struct, frozen=True, kw_only=True):
    on_notification: Callable[[str], None]
    resync: Resync


class Notifier:
    """The topics of one process. It connects when the first topic is subscribed to."""

    def __init__(self, settings: Settings) -> None:
        """Use the server at `settings.database_url`."""
        self._settings = settings
        self._topics: dict[str, list[_Topic]] = {}
        self._subscribed = asyncio.Event()
        self._resync_due = asyncio.Event()
        self._failed = False

    @contextmanager
    def subscribed(
        self, channel: str, *, on_notification: Callable[[str], None], resync: Resync
    ) -> Iterator[None]:
        """Subscribe to a channel for the length of the block.

        `on_notification` receives each payload. `resync` receives the listening connection: as
        soon as it listens, after each reconnect, every RESYNC_SECONDS and after `resync_now`.
        """
        topic = _Topic(on_notification=on_notification, resync=resync)
        self._topics.setdefault(channel, []).append(topic)
        self._subscribed.set()
        self.resync_now()
        try:
            yield
        finally:
            self._topics[channel].remove(topic)

    @contextmanager
    def waking(self, channel: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set by each notification of a channel, and by each resync.

        It is for a loop that polls: a poll finds what no notification has told.
        """
        woken = asyncio.Event()

        async def resync(_: Connection) -> None:
            woken.set()

        with self.subscribed(channel, on_notification=lambda _: woken.set(), resync=resync):
            yield woken

    def resync_now(self) -> None:
        """Call every `resync` without waiting for the next interval."""
        self._resync_due.set()

    async def listen_forever(self) -> None:
        """Listen until cancelled; reconnect with backoff."""
        await self._subscribed.wait()
        await retry_forever(
            "notices.not_heard",
            self._listen,
            pause_seconds=_RETRY_SECONDS,
            max_pause_seconds=_MAX_RETRY_SECONDS,
        )

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        failed, self._failed = self._failed, True
        async with open_connection(self._settings, application_name=APPLICATION_NAME) as conn:
            if failed:
                log.info("notices.heard_again")
            conn.add_termination_listener(lambda _: self._resync_due.set())
            listening: set[str] = set()
            while not conn.is_closed():
                self._resync_due.clear()
                for channel in self._topics.keys() - listening:
                    await conn.add_listener(channel, self._deliver)
                    listening.add(channel)
                await conn.execute(KEEP_ALIVE)
                for topic in list(chain.from_iterable(self._topics.values())):
                    await topic.resync(conn)
                with suppress(TimeoutError):
                    async with asyncio.timeout(RESYNC_SECONDS):
                        await self._resync_due.wait()
        self._failed = False

    def _deliver(self, _conn: object, _pid: int, channel: str, payload: object) -> None:
        for topic in self._topics.get(channel, ()):
            topic.on_notification(str(payload))


@asynccontextmanager
async def open_notifier(settings: Settings) -> AsyncIterator[Notifier]:
    """Listen for the length of the block; PostgreSQL need not be available."""
    notifier = Notifier(settings)
    async with background(notifier.listen_forever()):
        yield notifier
