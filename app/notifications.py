"""Publish changes of executions, and subscribe to them, through PostgreSQL.

A notification is sent after the commit it reports, in a transaction of its own: within another,
NOTIFY's lock would span the flush of the commit and halve the rate of commits. (Exceptions are a
hand-over to an idle worker, in migrations/sql/hand_over_execution_v1.sql, and the ends of batches,
runs and exports, which are rare.) It can therefore be lost, with the process about to send it or
with a connection. It carries ids, and beside the end of one execution its outcome if that is small:
the receiver reads what else it needs, and resynchronizes at intervals (`app/notifier.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from app.background import background, retry_forever
from app.db import Connection, open_connection
from app.notifier import Notifier, Resync
from app.outages import DatabaseUnavailable
from app.settings import Settings

CHANNEL: Final = "crivo_executions"
NOTIFY: Final = "SELECT pg_notify('crivo_executions', $1)"
# A payload of PostgreSQL is shorter than 8,000 bytes; an id takes 39 of them.
_MAX_IDS: Final = 200
# More pending ids than this are replaced by "anything may have changed".
_MAX_PENDING: Final = 5_000
# Pause between two notifications, so that under load one carries many ids.
_BATCH_SECONDS: Final = 0.003
# Changes other than an end are held back a little: most executions end within this time, and
# then the end is the only notification.
_CHANGE_DELAY_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 0.2
_FINAL_SEND_SECONDS: Final = 1.0


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Executions that have ended, those in another state, or `all`: any may have changed.

    `outcome` is that of the only one that has ended, as a row in JSON.
    """

    ended: tuple[UUID, ...] = ()
    changed: tuple[UUID, ...] = ()
    all: bool = False
    outcome: Raw = Raw()


def subscribe(
    notifier: Notifier, *, on_notice: Callable[[Notice], None], resync: Resync
) -> AbstractContextManager[None]:
    """Receive notices for the length of a block; one that says `all` causes a `resync`."""

    def receive(payload: str) -> None:
        notice = decode(payload)
        on_notice(notice)
        if notice.all:
            notifier.resync_now()

    return notifier.subscribed(CHANNEL, on_notification=receive, resync=resync)


def decode(payload: str) -> Notice:
    """Read the payload of a notification."""
    try:
        return msgspec.json.decode(payload, type=Notice)
    except msgspec.DecodeError:
        # From a later release, or from another program.
        return Notice(all=True)


class Publisher:
    """Sends notices in batches, on one connection, opened for the first of them."""

    def __init__(self, settings: Settings) -> None:
        """Use the server at `settings.database_url`."""
        self._settings = settings
        # Ordered sets.
        self._ended: dict[UUID, None] = {}
        self._changed: dict[UUID, None] = {}
        self._all = False
        self._pending = asyncio.Event()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, *ids: UUID) -> None:
        """Publish that executions are final. Call it after the commit; it returns at once."""
        if not ids:
            return
        for each in ids:
            self._changed.pop(each, None)
            self._ended[each] = None
        self._limit_pending()
        self._pending.set()
        self._due.set()

    def changed(self, *ids: UUID) -> None:
        """Publish that executions run or are queued again. Call it after the commit."""
        if not ids:
            return
        self._changed.update(dict.fromkeys(ids))
        self._limit_pending()
        self._pending.set()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_CHANGE_DELAY_SECONDS, self._make_changes_due)

    def discard(self, execution: UUID) -> None:
        """Drop a pending change: the end has been published by other means."""
        self._changed.pop(execution, None)

    async def send_forever(self) -> None:
        """Send what is published; what cannot be sent is kept for the next connection."""
        await retry_forever("notices.unsent", self._connect_and_send, pause_seconds=_RETRY_SECONDS)

    async def send_remaining(self) -> None:
        """Send what is pending as the process ends, if that is quick."""
        if not self._has_pending():
            return
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(_FINAL_SEND_SECONDS):
                async with open_connection(self._settings) as conn:
                    await self._send(conn)

    async def _connect_and_send(self) -> None:
        await self._pending.wait()
        # After a crash of PostgreSQL subscribers resynchronize: no notification need survive it.
        async with open_connection(self._settings, synchronous_commit="off") as conn:
            # What the last connection has failed to send.
            await self._send(conn)
            while True:
                await self._due.wait()
                self._due.clear()
                await self._send(conn)
                await asyncio.sleep(_BATCH_SECONDS)

    async def _send(self, conn: Connection) -> None:
        while self._has_pending():
            # Taken before it is sent: a change in the meantime is published again.
            notice = self._take()
            try:
                await conn.execute(NOTIFY, msgspec.json.encode(notice).decode())
            except BaseException:
                self._put_back(notice)
                raise

    def _has_pending(self) -> bool:
        return bool(self._ended or self._changed or self._all)

    def _take(self) -> Notice:
        if self._all:
            self._all = False
            return Notice(all=True)
        ended = tuple(islice(self._ended, _MAX_IDS))
        changed = tuple(islice(self._changed, _MAX_IDS - len(ended)))
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

    def _limit_pending(self) -> None:
        if len(self._ended) + len(self._changed) > _MAX_PENDING:
            self._ended.clear()
            self._changed.clear()
            self._all = True

    def _make_changes_due(self) -> None:
        self._timer = None
        if self._changed:
            self._due.set()


@asynccontextmanager
async def open_publisher(settings: Settings) -> AsyncIterator[Publisher]:
    """Send notices for the length of the block; PostgreSQL need not be available."""
    publisher = Publisher(settings)
    try:
        async with background(publisher.send_forever()):
            yield publisher
    finally:
        await publisher.send_remaining()
