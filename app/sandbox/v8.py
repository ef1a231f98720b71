"""Calls into V8: the library's C functions, without its event loop.

One isolate, one caller: the thread that made an `Isolate` starts a call and waits for its
answer on a queue, V8 works on the isolate's own thread. The library's promise is that
callbacks come from that thread only.
"""

import ctypes
import os
from collections.abc import Callable
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final

from py_mini_racer import init_mini_racer
from py_mini_racer._dll import MR_CALLBACK  # the type that the library's own argtypes check

from app.sandbox import snapshot, web
from app.sandbox.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

# Exactly these: `--single-threaded` is what makes a fork after V8's start possible; the
# stack lets user code recurse 50,000 deep; the young generation of 32 MiB takes a third
# off the time of large payloads. A heap may grow by half before it is collected: V8 would let
# it grow fourfold, and an execution's limit, which counts what is not collected yet, would
# meet garbage instead of data (40 MiB alive, replaced all the time, was over 128 MiB).
FLAGS: Final = (
    "--single-threaded",
    "--disallow-code-generation-from-strings",
    "--stack-size=4000",
    "--min-semi-space-size=32",
    "--max-semi-space-size=32",
    "--max-heap-size=4096",
    "--heap-growing-percent=50",
)
# A thread's stack: what V8 may use, and what is under it.
_STACK_BYTES: Final = 8 * 1024 * 1024
# More than `pthread_attr_t` has on any Linux (56 bytes on x86-64, 64 on arm64).
_ATTRIBUTES_BYTES: Final = 256
# How long a cancelled call may take to come back before it counts as stuck.
CANCEL_GRACE_S: Final = 0.15

# The harness leaves a function under a name, which is gone when the function is called.
_HARNESS: Final = b"globalThis.harness = " + web.compact(
    Path(__file__).with_name("harness.js").read_bytes()
)
_OPEN: Final = b"{ const open = harness; delete globalThis.harness; open() }"
# The places in the list that the harness opens with.
_BELL_PART, _MEMORY_PART, _FUNCTION_PART = range(3)

_BELL: Final = 1
_ANSWER: Final = 0

# Below this a copy is cheaper than to do without.
_SMALL_BYTES: Final = 16 * 1024
_WRITABLE: Final = 0x200  # PyBUF_WRITE
_view: Final = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_view.restype = ctypes.py_object


class Type(IntEnum):
    """The library's types of values, those that matter here (its `value.h`)."""

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
    """A call ran into its deadline and was cancelled, or did not even react to that."""


class HeapExhausted(Exception):
    """The isolate went over its hard memory limit; it is of no further use."""


class Value:
    """A value that V8 holds for us until it is freed."""

    __slots__ = ("handle", "isolate", "type")

    def __init__(self, isolate: "Isolate", handle: "ctypes._Pointer[ctypes.Structure]") -> None:
        """Own `handle`, a pointer that the library returned."""
        self.isolate = isolate
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
        # An array of ctypes would be a new class for each length.
        view: memoryview = _view(self.handle.contents.value.value_ptr, length, _WRITABLE)
        return view

    @property
    def text(self) -> str:
        """The text of a STRING or an exception."""
        return bytes(self.memory).decode(errors="replace")

    def free(self) -> None:
        """Let V8 have the value back."""
        self.isolate.library.mr_free_value(self.isolate.context, self.handle)


class Engine:
    """V8, started once per process. It may be forked as long as no isolate exists."""

    def __init__(self) -> None:
        """Load the library, start V8, make a snapshot of the harness. Raises OSError."""
        _give_threads_room()
        self.library = init_mini_racer(flags=FLAGS)
        self.shelf = web.Shelf(self.library)
        self.refusals = Refusals(self.library)
        self.harness = self.shelf.parts() + _HARNESS
        # Else each isolate runs the harness by itself, which takes it twice as long to make.
        self.has_harness = snapshot.install(self.library, self.harness)
        self.version: str = self.library.mr_v8_version().decode()


def _give_threads_room() -> None:
    """Set the stack of new threads, an isolate's among them, whatever `ulimit -s` was.

    V8 believes in the stack that `--stack-size` names and dies of a smaller one.
    """
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
    for call, arguments in (
        (libc.pthread_attr_init, (attributes,)),
        (libc.pthread_attr_setstacksize, (attributes, ctypes.c_size_t(_STACK_BYTES))),
        (libc.pthread_setattr_default_np, (attributes,)),
    ):
        if (error := call(*arguments)) != 0:
            raise OSError(error, f"the stack of threads cannot be set: {os.strerror(error)}")


class Isolate:
    """One isolate and the harness in it."""

    def __init__(self, engine: Engine, *, on_bell: Callable[[], None]) -> None:
        """Make an isolate and open the harness in it.

        `on_bell` runs on the isolate's thread, in the middle of JavaScript, when the
        harness rings; it must not call V8.
        """
        self.library = engine.library
        self._answers: SimpleQueue[Value] = SimpleQueue()
        self._on_bell = on_bell
        self._known = False
        self.refusals = engine.refusals
        self._shelf = engine.shelf
        self._callback = MR_CALLBACK(self._receive)
        self.context: int = self.library.mr_init_context(self._callback)
        self._open(engine)

    def _open(self, engine: Engine) -> None:
        if not engine.has_harness:
            self.evaluate(engine.harness)
        # Now, before user code: taking an item waits for the isolate without a deadline.
        self._parts = self.evaluate(_OPEN)
        self.shared = self._item(_MEMORY_PART)
        self._function = self._item(_FUNCTION_PART)
        self._shared_memory = self.shared.memory
        self._put(_BELL_PART, self.library.mr_make_js_callback(self.context, _BELL))

    def close(self) -> None:
        """End the isolate and its thread. Waits for it: V8 must be at rest."""
        self.library.mr_free_context(self.context)

    def limit_memory(self, heap_bytes: int) -> None:
        """Terminate JavaScript at the first garbage collection that leaves more than this."""
        self.library.mr_set_hard_memory_limit(self.context, heap_bytes)

    def evaluate(self, code: bytes, *, deadline: float | None = None) -> Value:
        """Run a script and return its value; exceptions are values too."""
        with self.string(code) as source:
            return self._wait(
                lambda: self.library.mr_eval(self.context, source.handle, _ANSWER), deadline
            )

    def _put(self, part: int, handle: "ctypes._Pointer[ctypes.Structure]") -> None:
        index, parts = self.number(part).handle, self._parts.handle
        put = self.library.mr_set_object_item(self.context, parts, index, handle)
        Value(self, put).free()

    def _item(self, part: int) -> Value:
        index, parts = self.number(part).handle, self._parts.handle
        return Value(self, self.library.mr_get_object_item(self.context, parts, index))

    def call(self, subject: Value, *, deadline: float | None = None) -> Value:
        """Call the harness with `subject` as its `this`: an operation's number, or the payload.

        Raises DeadlineExceeded at `deadline` (of `time.monotonic`) and HeapExhausted.
        """
        return self._wait(
            lambda: self.library.mr_call_function(
                self.context,
                self._function.handle,
                subject.handle,
                self._parts.handle,
                _ANSWER,
            ),
            deadline,
        )

    def number(self, number: int) -> Value:
        """Make a value of a number, without the isolate; it goes with it."""
        return Value(self, self.library.mr_alloc_int_val(self.context, number, Type.INTEGER))

    @contextmanager
    def string(self, text: bytes | bytearray) -> "Iterator[Value]":
        """Copy UTF-8 into a value for the length of a `with` block."""
        buffer = (
            (ctypes.c_char * len(text)).from_buffer(text)
            if isinstance(text, bytearray) and len(text) > _SMALL_BYTES
            else bytes(text)
        )
        handle = self.library.mr_alloc_string_val(self.context, buffer, len(text), Type.STRING)
        del buffer  # the library has its copy; a bytearray may be resized again
        value = Value(self, handle)
        try:
            yield value
        finally:
            value.free()

    def _wait(self, start: Callable[[], int], deadline: float | None) -> Value:
        task = start()
        try:
            left_s = None if deadline is None else max(0.0, deadline - monotonic())
            answer = self._answers.get(timeout=left_s)
        except Empty:
            self.library.mr_cancel_task(self.context, task)
            try:
                self._answers.get(timeout=CANCEL_GRACE_S)
            except Empty:
                message = "V8 does not react to the cancellation"
                raise DeadlineExceeded(message) from None
            raise DeadlineExceeded from None
        if self.library.mr_hard_memory_limit_reached(self.context):
            raise HeapExhausted
        return answer

    def _receive(self, callback_id: int, handle: "ctypes._Pointer[ctypes.Structure]") -> None:
        try:
            self._take(callback_id, Value(self, handle))
        except BaseException as error:  # noqa: BLE001 - ctypes would print it and go on
            os.write(2, f"callback: {type(error).__name__}: {error}".encode(errors="replace"))
            os._exit(1)

    def _take(self, callback_id: int, value: Value) -> None:
        if not self._known:
            # Never released, so that Python keeps what it has of the isolate's thread: else
            # each call from there maps memory for it, which may be refused under its limit.
            ctypes.pythonapi.PyGILState_Ensure()
            self.refusals.watch()
            self._known = True
        if callback_id == _BELL:
            value.free()
            if not self._shelf.answer(self._shared_memory):
                self._on_bell()
        else:
            self._answers.put(value)
