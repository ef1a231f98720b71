"""Decide when a wake-up is of use to a worker, and when it goes on to another one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

# How long a wake-up that is passed on is left to others, and counts as that one if it comes back.
_LEAVE_SECONDS: Final = 0.1
_PASS_ON_SECONDS: Final = 1.0


class WakeUps:
    """Those of one worker: of use while a slot is free, or the spare one."""

    def __init__(self, *, may_use_spare: Callable[[], bool], notify: Callable[[], None]) -> None:
        """`may_use_spare` tells whether an execution could begin beside parts of runs."""
        self._may_use_spare = may_use_spare
        self._notify = notify
        self._of_use = asyncio.Event()
        self._passed_on = float("-inf")

    async def awaited(self, *, within_seconds: float) -> bool:
        """Wait until a wake-up is of use, and return whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._of_use.wait()
        return self._of_use.is_set()

    def begin(self) -> None:
        """Note that a claim has left a slot free, or the spare one."""
        self._of_use.set()

    def end(self) -> None:
        """Note that nothing can begin here."""
        self._of_use.clear()

    def filled(self, *, woken_alone: bool, claimed: bool) -> None:
        """Note that no slot is free, but perhaps the spare one.

        A wake-up that no other worker has received goes on: more may be queued. One that comes back
        at once and was of no use is the worker's own, and ends.
        """
        takes_others = self._may_use_spare()
        if not takes_others:
            self.end()
        loop = asyncio.get_running_loop()
        is_own = takes_others and loop.time() < self._passed_on + _PASS_ON_SECONDS
        if woken_alone and (claimed or not is_own):
            self._passed_on = loop.time()
            self.end()
            loop.call_later(_LEAVE_SECONDS, self._resume)
            self._notify()

    def _resume(self) -> None:
        if self._may_use_spare():
            self.begin()
