"""Wake the loops that claim tasks of exports, in all workers, once one may be due.

A wake-up can be lost: the loops also poll.
"""

import asyncio
from contextlib import AbstractContextManager
from typing import Final

from app.db import Connection
from app.notifier import Notifier

CHANNEL: Final = "crivo_exports"
NOTIFY: Final = "SELECT pg_notify('crivo_exports', '')"


async def notify(conn: Connection) -> None:
    """Wake them with the commit of the running transaction; of several wake-ups it sends one."""
    await conn.execute(NOTIFY)


def woken(notifier: Notifier) -> AbstractContextManager[asyncio.Event]:
    """Open an event that wake-ups set, for the length of a block."""
    return notifier.waking(CHANNEL)
