"""Look up host names in threads of their own.

A name server that never answers keeps its lookup for half a minute, whatever the caller does. The
event loop's own threads are few and shared, and the interpreter waits for them as it ends; these
are neither.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from threading import Thread
from typing import TypeAlias

from app.egress.addresses import Address

Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[Address]]]


class LookupFailed(Exception):
    """A host name has no address, or its name server does not answer."""


class ThreadedResolver:
    """Resolves names by the system's resolver, with a thread for each lookup."""

    def __init__(self, max_lookups: int) -> None:
        """Allow more lookups than there are requests: some outlive theirs."""
        self._max_lookups = max_lookups
        self._under_way = 0

    async def __call__(self, name: str) -> Sequence[Address]:
        """Return the addresses of a name, in the order of preference. Raises LookupFailed."""
        if self._under_way >= self._max_lookups:
            raise LookupFailed("too many lookups are under way")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[Address]] = loop.create_future()
        thread = Thread(
            target=_look_up, args=(name, partial(self._report, loop, found)), daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise LookupFailed("no thread could be started") from error
        # The thread's report takes it back in this event loop, so not before.
        self._under_way += 1
        return await found

    def _report(
        self,
        loop: asyncio.AbstractEventLoop,
        found: "asyncio.Future[Sequence[Address]]",
        result: Sequence[Address] | Exception,
    ) -> None:
        """Hand over what a thread has found; called in that thread."""

        def settle() -> None:
            self._under_way -= 1
            if found.done():
                return
            if isinstance(result, Exception):
                found.set_exception(result)
            else:
                found.set_result(result)

        # A RuntimeError: the loop is closed, and nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle)


def _look_up(name: str, report: Callable[[Sequence[Address] | Exception], None]) -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        # An address with a zone is a tuple of four with an index; ipaddress keeps its text.
        report(list(dict.fromkeys(ip_address(each[4][0]) for each in found)))
    except (OSError, ValueError) as error:
        report(LookupFailed(str(error)))
