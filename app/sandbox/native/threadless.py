"""Call V8 without mini-racer's threads: a context works on its caller's thread, the main one.

An isolate without a thread survives a fork, so the zygote makes those of its cells. Everything is
done by functions that the library exports under their C++ names (`v8_functions`); the layouts on
which this relies are those of mini-racer's IsolateHolder, V8's ScriptOrigin, Utf8Value and
TryCatch.
`self_check` tries all of it in a process of its own before it is used.

Fallback: `mini_racer.Context`, whose isolates are made in the cell.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_char, c_int, c_size_t, c_uint64
from typing import Final

from app.sandbox.native.isolate import WORDS, Isolate
from app.sandbox.native.mini_racer import HeapExhausted, Type
from app.sandbox.native.v8_functions import Pair

_NO_CALLBACKS: Final = Pair(None, None)
# Of V8's enumerations.
_EXPLICIT_POLICY: Final = 0
_ALLOW_CONSTRUCTOR, _SIDE_EFFECTS = 1, 0
_WRITE_FLAGS: Final = 0
_FILE: Final = b"<anonymous>"
_NO_STRING: Final = b"<string conversion failed>"
_CALLBACK_TYPE: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Value:
    """A result that has left V8: a number, a text, or only its type."""

    __slots__ = ("integer", "memory", "type")

    def __init__(self, type_: Type, *, integer: int = 0, memory: memoryview | None = None) -> None:
        """Keep the number of an INTEGER or the bytes of a STRING or an exception."""
        self.type: int = type_
        self.integer = integer
        self.memory = memoryview(b"") if memory is None else memory

    @property
    def text(self) -> str:
        """The text of a STRING or an exception."""
        return bytes(self.memory).decode(errors="replace")

    def free(self) -> None:
        """Do nothing: V8 keeps nothing of it."""


class Text:
    """A string in V8, valid for the length of a `with` block."""

    __slots__ = ("local",)

    def __init__(self, local: int) -> None:
        """Take the string's handle."""
        self.local = local


class Context:
    """A context in an isolate, with a queue of its own for microtasks."""

    def __init__(self, isolate: Isolate) -> None:
        """Make the snapshot's context in an isolate that nobody has entered."""
        self.isolate = isolate
        v8 = self._v8 = isolate.v8
        self._isolate = isolate.address
        self._try = (c_uint64 * WORDS)()
        self._text = (c_uint64 * WORDS)()
        self._origin = (c_uint64 * WORDS)()
        self._callback: object = None
        self._globals: list[int] = []
        self._function = 0
        self._parts = 0
        isolate.enter()
        with isolate.scope():
            # Never freed: a context that is dropped, but not collected yet, refers to it.
            self._queue: int = v8.new_queue(self._isolate, _EXPLICIT_POLICY)
            context = v8.new_context(
                *(self._isolate, None, None, None, _NO_CALLBACKS),
                *(self._queue, _NO_CALLBACKS, _NO_CALLBACKS),
            )
            self._context = self._keep(context)
        isolate.exit()

    def enter(self) -> None:
        """Use the context, and its isolate, until `exit`."""
        self.isolate.enter()
        self._v8.enter_context(self._context)

    def exit(self) -> None:
        """Stop using the context."""
        self._v8.exit_context(self._context)
        self.isolate.exit()

    def drop(self) -> None:
        """Leave the context, which nobody has entered, to the garbage collection."""
        for handle in self._globals:
            self._v8.end_global(handle)
        self._globals = []

    def open_parts(
        self,
        code: bytes,
        *,
        callback_part: int,
        memory_part: int,
        function_part: int,
        on_callback: Callable[[], None],
    ) -> memoryview:
        """Run trusted code that returns a list: put the callback in, take function and buffer.

        Returns the buffer's memory, which the list must keep alive. Raises RuntimeError.
        """
        v8, context = self._v8, self._context
        with self.isolate.scope():
            parts = self._run(code)
            if parts is None:
                message = "the harness does not open"
                raise RuntimeError(message)
            self._callback = _CALLBACK_TYPE(lambda _: _guard(on_callback))
            function = v8.new_function(
                context, self._callback, None, 0, _ALLOW_CONSTRUCTOR, _SIDE_EFFECTS
            )
            v8.set_item(parts, context, callback_part, function)
            self._parts = self._keep(parts)
            self._function = self._keep(v8.item(parts, context, function_part))
            buffer = self._keep(v8.item(parts, context, memory_part))
            address, length = v8.buffer_data(buffer), v8.buffer_bytes(buffer)
            return memoryview((c_char * length).from_address(address)).cast("B")

    def buffer_part(self, index: int) -> memoryview:
        """Return the memory of a buffer that is in the list of `open_parts`, and kept by it."""
        v8 = self._v8
        with self.isolate.scope():
            buffer = v8.item(self._parts, self._context, index)
            address, length = v8.buffer_data(buffer), v8.buffer_bytes(buffer)
            return memoryview((c_char * length).from_address(address)).cast("B")

    def evaluate(self, code: bytes, *, deadline: float | None = None) -> Value:
        """Run a script; the value is an INTEGER, a STRING, UNDEFINED for others, or an exception.

        Raises DeadlineExceeded at `deadline` (of `time.monotonic`) and HeapExhausted.
        """
        with self.string(code) as source:
            return self._guarded(lambda: self._run_string(source.local), deadline)

    def apply(self, this: Text | int, *, deadline: float | None = None) -> Value:
        """Call the function of `open_parts`; raises what `evaluate` raises."""
        v8 = self._v8

        def call() -> tuple[int | None, Type]:
            local = v8.new_integer(self._isolate, this) if isinstance(this, int) else this.local
            answer = v8.call(self._function, self._context, local, 0, None)
            return answer, Type.EXECUTE_EXCEPTION

        return self._guarded(call, deadline)

    def run_microtasks(self) -> None:
        """Run what the context's promises have queued."""
        self._v8.run_microtasks(self._queue, self._isolate)

    @contextmanager
    def string(self, text: bytes | bytearray, *, latin1: bool = False) -> Iterator[Text]:
        """Copy UTF-8 or Latin-1 into V8 for the length of a `with` block."""
        with self.isolate.scope():
            yield Text(self._new_string(text, latin1=latin1))

    def _guarded(
        self, call: Callable[[], tuple[int | None, Type]], deadline: float | None
    ) -> Value:
        """Make a call and run its microtasks; the value leaves V8 before they run."""
        if deadline is not None:
            self.isolate.watchdog.begin_call(self._isolate, deadline)
        try:
            with self.isolate.scope():
                value = self._caught(call)
                if value.type != Type.TERMINATED_EXCEPTION:
                    self.run_microtasks()
        finally:
            if deadline is not None:
                self.isolate.watchdog.end_call()
        if self.isolate.memory_exhausted:
            raise HeapExhausted
        return value

    def _caught(self, call: Callable[[], tuple[int | None, Type]]) -> Value:
        # V8 compares the position on the stack at which this is made with that of the call.
        self._v8.new_try(self._try, self._isolate)
        try:
            local, failure = call()
            if local is None and self._v8.terminated(self._try):
                return Value(Type.TERMINATED_EXCEPTION)
            if local is None:
                return Value(failure, memory=memoryview(self._report()))
            return self._take(local)
        finally:
            self._v8.end_try(self._try)

    def _take(self, local: int) -> Value:
        v8 = self._v8
        if v8.is_int32(local):
            return Value(Type.INTEGER, integer=self._int32(v8.int32(local, self._context)))
        if v8.is_name(local) and not v8.is_symbol(local):
            return Value(Type.STRING, memory=memoryview(self._bytes(local)))
        return Value(Type.UNDEFINED)

    def _run(self, code: bytes) -> int | None:
        return self._run_string(self._new_string(code))[0]

    def _run_string(self, source: int) -> tuple[int | None, Type]:
        self._origin[0] = self._new_string(_FILE)
        script = self._v8.compile(self._context, source, self._origin)
        if script is None:
            return None, Type.PARSE_EXCEPTION
        return self._v8.run(script, self._context), Type.EXECUTE_EXCEPTION

    def _report(self) -> bytes:
        """Describe the exception in the form of mini-racer, which is that of V8's shell."""
        v8, context = self._v8, self._context
        exception, message = v8.exception(self._try), v8.message(self._try)
        text = self._to_text(exception)
        if message is None:
            report = text + b"\n"
        else:
            line = v8.message_line(message, context)
            number = self._int32(line) if line & 1 else -1
            file = self._to_text(v8.message_file(message))
            report = b"%s:%d: %s\n" % (file, number, text)
            source = v8.message_source(message, context)
            if source is not None:
                start = v8.message_start(message)
                end = max(v8.message_end(message), start + 1)
                marks = b" " * start + b"^" * (end - start)
                report += b"%s\n%s\n" % (self._to_text(source), marks)
        trace = v8.stack_trace(context, exception) if exception is not None else None
        if trace is not None and v8.is_name(trace) and not v8.is_symbol(trace):
            report += b"\n%s\n" % self._to_text(trace)
        return report

    def _to_text(self, local: int | None) -> bytes:
        """Return `String(value)`, as a C string, which ends at a NUL."""
        self._v8.new_text(self._text, self._isolate, local)
        text = ctypes.string_at(self._text[0]) if self._text[0] else _NO_STRING
        self._v8.end_text(self._text)
        return text

    def _bytes(self, local: int) -> bytearray:
        """Return the UTF-8 of a string."""
        length = self._v8.utf8_length(local, self._isolate)
        memory = bytearray(length)
        if length:
            room = (c_char * length).from_buffer(memory)
            self._v8.write_utf8(local, self._isolate, room, length, _WRITE_FLAGS, None)
        return memory

    def _new_string(self, text: bytes | bytearray, *, latin1: bool = False) -> int:
        # V8 copies Latin-1, and decodes UTF-8 twice: first to find its length.
        make = self._v8.new_latin1 if latin1 or text.isascii() else self._v8.new_string
        if isinstance(text, bytearray):
            source: object = (c_char * len(text)).from_buffer(text) if text else b""
        else:
            source = text
        local: int | None = make(self._isolate, source, 0, len(text))
        if local is None:
            raise MemoryError("V8 makes no string of this length")
        return local

    def _keep(self, local: int) -> int:
        """Make a handle that outlives the scope."""
        handle: int = self._v8.new_global(self._isolate, c_size_t.from_address(local).value)
        self._globals.append(handle)
        return handle

    @staticmethod
    def _int32(maybe: int) -> int:
        return c_int(maybe >> 32).value


def _guard(on_callback: Callable[[], None]) -> None:
    try:
        on_callback()
    except BaseException as error:  # noqa: BLE001 - ctypes would print it and continue
        os.write(2, f"callback: {type(error).__name__}: {error}".encode(errors="replace"))
        os._exit(1)
