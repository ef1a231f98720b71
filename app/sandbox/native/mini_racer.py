"""Call V8 through mini-racer's C functions, without mini-racer's event loop.

A context has one caller: the thread that made the `Context` starts a call and waits for its
answer on a queue, while V8 works on the isolate's own thread. The library makes all callbacks
from that thread.

This module has no fallback: it uses the functions and the layout of values that mini-racer's
Python package declares, in the version that the lock files pin.
"""

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final

from py_mini_racer import init_mini_racer

# How long a cancelled call may take to return before it counts as stuck.
CANCEL_GRACE_S: Final = 0.15

# The id of a call's answer; callbacks made by `make_callback` have others.
_ANSWER: Final = 0

# Below this a copy is cheaper than avoiding one.
_SMALL_BYTES: Final = 16 * 1024
_WRITABLE: Final = 0x200  # PyBUF_WRITE
_view: Final = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_view.restype = ctypes.py_object

Handle = Any  # a pointer to mini-racer's structure of a value, which has no public type


class Type(IntEnum):
    """The library's types of values, as far as they are used here (its `value.h`)."""

    INTEGER = 3
    STRING = 5
    UNDEFINED = 11
    FUNCTION = 100
    ARRAY_BUFFER = 102
    EXECUTE_EXCEPTION = 200
    PARSE_EXCEPTION = 201
    OOM_EXCEPTION = 202
    TERMINATED_EXCEPTION = 204


class DeadlineExceeded(Exception):
    """A call exceeded its deadline and was cancelled, or did not respond to that either."""


class HeapExhausted(Exception):
    """The isolate exceeded its hard memory limit; it cannot be used any more."""


def load(flags: Iterable[str]) -> ctypes.CDLL:
    """Load the library and start V8 with these flags, once per process. Raises OSError."""
    return init_mini_racer(flags=flags)


class Value:
    """A value that V8 keeps until it is freed."""

    __slots__ = ("context", "handle", "type")

    def __init__(self, context: "Context", handle: Handle) -> None:
        """Own `handle`, a pointer that the library returned."""
        self.context = context
        self.handle = handle
        self.type: int = handle.contents.type

    @property
    def integer(self) -> int:
        """The number of an INTEGER."""
        return int(self.handle.contents.value.int_val)

    @property
    def memory(self) -> memoryview:
        """The bytes of a STRING (UTF-8), an exception's text or an ARRAY_BUFFER, in place.

        Valid until the value is freed.
        """
        length = self.handle.contents.len
        if length == 0:
            return memoryview(b"")
        # A ctypes array would be a new class for each length.
        view: memoryview = _view(self.handle.contents.value.value_ptr, length, _WRITABLE)
        return view

    @property
    def text(self) -> str:
        """The text of a STRING or an exception."""
        return bytes(self.memory).decode(errors="replace")

    def free(self) -> None:
        """Return the value to V8."""
        self.context.library.mr_free_value(self.context.handle, self.handle)


class Context:
    """One V8 isolate with one context, and the thread on which V8 works for it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Make an isolate and start its thread."""
        self.library = library
        self._answers: SimpleQueue[Value] = SimpleQueue()
        self._thread_known = False
        callback_type: Any = library.mr_init_context.argtypes[0]
        self._callback = callback_type(self._receive)
        self.handle: int = library.mr_init_context(self._callback)

    def dispose(self) -> None:
        """End the isolate and its thread, and wait for that; V8 must be at rest."""
        self.library.mr_free_context(self.handle)

    def limit_memory(self, heap_bytes: int) -> None:
        """Terminate JavaScript at the first garbage collection that leaves more than this."""
        self.library.mr_set_hard_memory_limit(self.handle, heap_bytes)

    def evaluate(self, code: bytes, *, deadline: float | None = None) -> Value:
        """Run a script and return its value; an exception is a value too.

        Raises DeadlineExceeded at `deadline` (of `time.monotonic`) and HeapExhausted.
        """
        with self.string(code) as source:
            return self._wait(
                lambda: self.library.mr_eval(self.handle, source.handle, _ANSWER), deadline
            )

    def apply(
        self, function: Value, this: Value, arguments: Value, *, deadline: float | None = None
    ) -> Value:
        """Call a function with a list of arguments; raises what `evaluate` raises."""
        return self._wait(
            lambda: self.library.mr_call_function(
                self.handle, function.handle, this.handle, arguments.handle, _ANSWER
            ),
            deadline,
        )

    def item(self, parts: Value, index: int) -> Value:
        """Read an element of a list; waits for the isolate without a deadline."""
        handle = self.library.mr_get_object_item(
            self.handle, parts.handle, self.number(index).handle
        )
        return Value(self, handle)

    def put_callback(self, parts: Value, index: int, callback_id: int) -> None:
        """Set an element of a list to a function that calls `on_callback` with this id."""
        function = self.library.mr_make_js_callback(self.handle, callback_id)
        put = self.library.mr_set_object_item(
            self.handle, parts.handle, self.number(index).handle, function
        )
        Value(self, put).free()

    def number(self, number: int) -> Value:
        """Make a value of a number, without the isolate; it is freed with the isolate."""
        return Value(self, self.library.mr_alloc_int_val(self.handle, number, Type.INTEGER))

    @contextmanager
    def string(self, text: bytes | bytearray, *, latin1: bool = False) -> Iterator[Value]:
        """Copy UTF-8 into a value for the length of a `with` block; no Latin-1 (ValueError)."""
        if latin1:
            raise ValueError("the library takes UTF-8 only")
        buffer = (
            (ctypes.c_char * len(text)).from_buffer(text)
            if isinstance(text, bytearray) and len(text) > _SMALL_BYTES
            else bytes(text)
        )
        handle = self.library.mr_alloc_string_val(self.handle, buffer, len(text), Type.STRING)
        del buffer  # the library has its copy; a bytearray may be resized again
        value = Value(self, handle)
        try:
            yield value
        finally:
            value.free()

    def on_thread_start(self) -> None:
        """Run once on the isolate's thread, before its first callback."""

    def on_callback(self, callback_id: int) -> None:
        """Run on the isolate's thread, in the middle of JavaScript; it must not call V8."""

    def _wait(self, start: Callable[[], int], deadline: float | None) -> Value:
        task = start()
        try:
            remaining_s = None if deadline is None else max(0.0, deadline - monotonic())
            answer = self._answers.get(timeout=remaining_s)
        except Empty:
            self.library.mr_cancel_task(self.handle, task)
            try:
                self._answers.get(timeout=CANCEL_GRACE_S)
            except Empty:
                message = "V8 does not react to the cancellation"
                raise DeadlineExceeded(message) from None
            raise DeadlineExceeded from None
        if self.library.mr_hard_memory_limit_reached(self.handle):
            raise HeapExhausted
        return answer

    def _receive(self, callback_id: int, handle: Handle) -> None:
        try:
            self._dispatch(callback_id, Value(self, handle))
        except BaseException as error:  # noqa: BLE001 - ctypes would print it and continue
            os.write(2, f"callback: {type(error).__name__}: {error}".encode(errors="replace"))
            os._exit(1)

    def _dispatch(self, callback_id: int, value: Value) -> None:
        if not self._thread_known:
            # Never released, so that Python keeps its state of the isolate's thread: otherwise
            # each call from there allocates memory for it, which the limit may refuse.
            ctypes.pythonapi.PyGILState_Ensure()
            self.on_thread_start()
            self._thread_known = True
        if callback_id == _ANSWER:
            self._answers.put(value)
        else:
            value.free()
            self.on_callback(callback_id)
