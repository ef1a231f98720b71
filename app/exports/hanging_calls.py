"""Call a file system in threads, and wait for it only so long.

A network file system can hang for hours, and nothing ends a thread that is in the kernel for it.
Its caller goes on without it. It is none of an executor's: those would wait for it as the process
ends, and a few of them would leave no thread for others.
"""

import _thread
import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar

from app.limits import DESTINATION_CALL_SECONDS, MAX_HANGING_CALLS

T = TypeVar("T")

_lock: Final = threading.Lock()
_hanging: Final[Counter[str]] = Counter()
_here: Final = threading.local()


class Hangs(Exception):
    """A call has not come back in time; it may still be at work."""


async def call_in_thread(place: str, call: Callable[[], T]) -> T:
    """Return what a call returns; `place` names what hangs as a whole, if it does. Raises Hangs."""
    with _lock:
        if _hanging[place] >= MAX_HANGING_CALLS:
            raise Hangs(f"{MAX_HANGING_CALLS} calls have not come back")
    begun = _Call(place, call)
    threading.Thread(target=begun.run, name="destination", daemon=True).start()
    try:
        done, _ = await asyncio.wait([begun.result], timeout=DESTINATION_CALL_SECONDS)
    finally:
        begun.abandon()
    if not done:
        raise Hangs(f"a call has not come back for {DESTINATION_CALL_SECONDS:g} s")
    return begun.result.result()


def leave_to_thread(place: str, call: Callable[[], object]) -> None:
    """Have a thread make a call that nobody waits for; until it ends, it counts as one that hangs.

    Takes no lock: `__del__` can run wherever Python collects garbage.
    """
    _thread.start_new_thread(_call_counted, (place, call))


def _call_counted(place: str, call: Callable[[], object]) -> None:
    with _lock:
        _hanging[place] += 1
    try:
        # What it was for has ended, or has failed for a reason of its own.
        with suppress(OSError):
            call()
    finally:
        with _lock:
            _hanging[place] -= 1


def require_wanted() -> None:
    """Raise Hangs in a call that nobody waits for: what it would change may be another's by now."""
    if _here.call.abandoned:
        raise Hangs("nobody waits for it")


class _Call(Generic[T]):
    def __init__(self, place: str, call: Callable[[], T]) -> None:
        self._place = place
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self.abandoned = False
        self.result: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        _here.call = self
        try:
            result = self._call()
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            self._deliver(partial(self.result.set_exception, error))
        else:
            self._deliver(partial(self.result.set_result, result))
        with _lock:
            self._ended = True
            if self.abandoned:
                _hanging[self._place] -= 1

    def abandon(self) -> None:
        """Drop what a call has yet to return, and count it until it comes back."""
        with _lock:
            self.abandoned = not self.result.done()
            if self.abandoned and not self._ended:
                _hanging[self._place] += 1

    def _deliver(self, deliver: Callable[[], None]) -> None:
        def unless_abandoned() -> None:
            if not self.abandoned:
                deliver()

        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(unless_abandoned)
