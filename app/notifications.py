"""Tell the API, through PostgreSQL, which executions have changed: the doorbell of readers.

A notice is sent after the commit that it tells of, in a transaction of its own: inside another
one, NOTIFY's lock would span the flush of the commit and halve how many there are in a second.
So it can be lost, with the process that was about to send it or with a connection. It carries
ids and no state: who listens reads what he wants to know, and looks by himself now and then.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from app.db import Connection, open_connection
from app.outages import DatabaseUnavailable
from app.settings import Settings

log = structlog.get_logger(__name__)

CHANNEL: Final = "crivo_executions"
NOTIFY: Final = "SELECT pg_notify('crivo_executions', $1)"
# What pg_stat_activity calls the connection that listens.
LISTENER: Final = "crivo: notices"
# PostgreSQL takes less than 8,000 bytes; an id takes 39 of them.
_MOST_IDS: Final = 200
# A backlog above this is told as "look at everything".
_MOST_PENDING: Final = 5_000
# Between two notices: under load one tells what came to an end within that time.
_GAP_SECONDS: Final = 0.003
# What has begun is told a little later, as most executions have ended by then: one notice less.
_BEGUN_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 0.2
_FAREWELL_SECONDS: Final = 1.0
# A notice that was lost is made up for within this time.
LOOK_SECONDS: Final = 5.0


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has changed: executions that have ended, those in another state, or any (`all`)."""

    ended: tuple[UUID, ...] = ()
    changed: tuple[UUID, ...] = ()
    all: bool = False


class Publisher:
    """Sends notices, batched, on a connection that it opens when it first needs one."""

    def __init__(self, settings: Settings) -> None:
        """Take where PostgreSQL is."""
        self._settings = settings
        # As ordered sets.
        self._ended: dict[UUID, None] = {}
        self._changed: dict[UUID, None] = {}
        self._all = False
        self._wanted = asyncio.Event()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, *ids: UUID) -> None:
        """Tell that executions are final; call it after the commit, it returns at once."""
        if not ids:
            return
        for each in ids:
            self._changed.pop(each, None)
            self._ended[each] = None
        self._bound()
        self._wanted.set()
        self._due.set()

    def changed(self, *ids: UUID) -> None:
        """Tell that executions run or are queued again; call it after the commit."""
        if not ids:
            return
        self._changed.update(dict.fromkeys(ids))
        self._bound()
        self._wanted.set()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BEGUN_SECONDS, self._ripen)

    def told(self, execution: UUID) -> None:
        """Take note that somebody else has told of its end: there is nothing to add."""
        self._changed.pop(execution, None)

    async def send_forever(self) -> None:
        """Send what there is to tell; what cannot be sent is kept for the next connection."""
        silent = False
        while True:
            await self._wanted.wait()
            try:
                # Nothing is lost in a crash of PostgreSQL that the listeners would not ask for.
                async with open_connection(self._settings, synchronous_commit="off") as conn:
                    silent = False
                    await self._send_while_open(conn)
            except DatabaseUnavailable:
                # Logged where it is raised.
                silent = True
            except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on without
                if not silent:
                    log.warning("notices.unsent", reason=str(error))
                silent = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def send_the_rest(self) -> None:
        """Send what is left when the process ends, if that takes no time."""
        if not (self._ended or self._changed or self._all):
            return
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                async with open_connection(self._settings) as conn:
                    await self._send(conn)

    async def _send_while_open(self, conn: Connection) -> None:
        # After a failure there is something left.
        await self._send(conn)
        while True:
            await self._due.wait()
            self._due.clear()
            await self._send(conn)
            await asyncio.sleep(_GAP_SECONDS)

    async def _send(self, conn: Connection) -> None:
        while self._ended or self._changed or self._all:
            # Out before it is sent: what changes again meanwhile is told again.
            notice = self._take()
            try:
                await conn.execute(NOTIFY, msgspec.json.encode(notice).decode())
            except BaseException:
                self._put_back(notice)
                raise

    def _take(self) -> Notice:
        if self._all:
            self._all = False
            return Notice(all=True)
        ended = tuple(islice(self._ended, _MOST_IDS))
        changed = tuple(islice(self._changed, _MOST_IDS - len(ended)))
        for each in ended:
            del self._ended[each]
        for each in changed:
            del self._changed[each]
        return Notice(ended=ended, changed=changed)

    def _put_back(self, unsent: Notice) -> None:
        self._all = self._all or unsent.all
        self._ended.update(dict.fromkeys(unsent.ended))
        self._changed.update(
            dict.fromkeys(each for each in unsent.changed if each not in self._ended)
        )

    def _bound(self) -> None:
        if len(self._ended) + len(self._changed) > _MOST_PENDING:
            self._ended.clear()
            self._changed.clear()
            self._all = True

    def _ripen(self) -> None:
        self._timer = None
        if self._changed:
            self._due.set()


@asynccontextmanager
async def open_publisher(settings: Settings) -> AsyncIterator[Publisher]:
    """Send notices for the length of the block; PostgreSQL may be away at times."""
    publisher = Publisher(settings)
    sender = asyncio.create_task(publisher.send_forever())
    try:
        yield publisher
    finally:
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender
        await publisher.send_the_rest()


async def listen_forever(
    settings: Settings,
    *,
    heard: Callable[[Notice], None],
    look: Callable[[Connection], Awaitable[None]],
) -> None:
    """Hand every notice to `heard`; have `look` find out what no notice has told.

    `look` is called once notices are heard, after every loss of the connection, and each few
    seconds, on that same connection: so a dead one is noticed, too.
    """
    deaf = False
    while True:
        try:
            async with open_connection(settings, application_name=LISTENER) as conn:
                if deaf:
                    log.info("notices.heard_again")
                deaf = False
                await _listen_while_open(conn, heard, look)
        except DatabaseUnavailable:
            # Logged where it is raised.
            deaf = True
        except Exception as error:  # noqa: BLE001 - whatever it is, readers are told in the end
            if not deaf:
                log.warning("notices.not_heard", reason=str(error))
            deaf = True
        await asyncio.sleep(_RETRY_SECONDS)


async def _listen_while_open(
    conn: "Connection",
    heard: Callable[[Notice], None],
    look: Callable[[Connection], Awaitable[None]],
) -> None:
    due = asyncio.Event()

    def hear(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        notice = _read(str(payload))
        heard(notice)
        if notice.all:
            due.set()

    conn.add_termination_listener(lambda _: due.set())
    await conn.add_listener(CHANNEL, hear)
    while not conn.is_closed():
        due.clear()
        await look(conn)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await due.wait()


def _read(payload: str) -> Notice:
    try:
        return msgspec.json.decode(payload, type=Notice)
    except msgspec.DecodeError:
        # Of a later version, or somebody else's.
        return Notice(all=True)
