"""Hold a V8 isolate that belongs to no thread of mini-racer's: its stack, scopes and memory limit.

It works on the thread that makes it, the main one, of this process or of its children.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_int, c_uint64
from typing import Final

from app.sandbox.native.v8_functions import V8Functions
from app.sandbox.native.watchdog import Watchdog

# Of V8's enumeration: all kinds of garbage collection.
_ALL_COLLECTIONS: Final = 31
# Room for structures that the library fills, more than each takes.
WORDS: Final = 16


class Isolate:
    """One V8 isolate, for the contexts that `threadless.Context` makes in it."""

    def __init__(self, v8: V8Functions, watchdog: Watchdog) -> None:
        """Make an isolate on this thread."""
        self.v8 = v8
        self.watchdog = watchdog
        self._holder = (c_uint64 * 2)()
        v8.new_holder(self._holder)
        self.address: int = self._holder[1]
        self._next = c_uint64.from_address(v8.scope_next(self.address))
        self._limit = c_uint64.from_address(v8.scope_limit(self.address))
        self._level = c_int.from_address(v8.scope_level(self.address))
        self._monitor = (c_uint64 * WORDS)()
        v8.new_monitor(self._monitor)
        v8.on_collected(self.address, v8.memory_callback, self._monitor, _ALL_COLLECTIONS)

    def enter(self) -> None:
        """Use the isolate until `exit`, on the thread that made it, of this process or its parent.

        V8 knows where that thread's stack is: it looks there for references.
        """
        self.v8.enter_isolate(self.address)

    def exit(self) -> None:
        """Stop using the isolate."""
        self.v8.exit_isolate(self.address)

    def dispose(self) -> None:
        """Free everything; no thread uses the isolate, and no context of it is kept."""
        self.v8.end_holder(self._holder)

    def limit_memory(self, heap_bytes: int) -> None:
        """Terminate JavaScript at the first garbage collection that leaves more than this."""
        self.v8.set_memory_limit(self._monitor, heap_bytes)

    @property
    def memory_exhausted(self) -> bool:
        """Whether the latest garbage collection left more than the limit."""
        exhausted: bool = self.v8.memory_limit_reached(self._monitor)
        return exhausted

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Free the handles that are made within."""
        following, limit = self._next.value, self._limit.value
        self._level.value += 1
        try:
            yield
        finally:
            self._level.value -= 1
            self._next.value = following
            if self._limit.value != limit:
                self._limit.value = limit
                self.v8.free_handles(self.address)
