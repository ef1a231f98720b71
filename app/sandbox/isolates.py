"""Declare what a job needs of V8, in whichever way its isolate was made."""

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Value(Protocol):
    """What JavaScript returned or threw."""

    type: int

    @property
    def integer(self) -> int:
        """The number of an INTEGER."""
        ...

    @property
    def memory(self) -> memoryview:
        """The bytes of a STRING or of an exception's text, valid until `free`."""
        ...

    @property
    def text(self) -> str:
        """The text of a STRING or an exception."""
        ...

    def free(self) -> None:
        """Let V8 free the value."""
        ...


class Isolate(Protocol):
    """One isolate, or one context of a shared isolate, with the harness in it.

    `call` takes what `number` and `string` make: an operation's number, or the payload, which is
    the harness's `this`. `call` and `evaluate` raise DeadlineExceeded at `deadline` (of
    `time.monotonic`) and HeapExhausted.
    """

    shared_memory: memoryview
    # Whether `string` takes Latin-1.
    takes_latin1: bool
    # Whether `close` takes no time, so that the end of a job can wait for it.
    closes_at_once: bool

    def begin(self) -> None:
        """Use the isolate on this thread, up to `close`."""
        ...

    def close(self) -> bool:
        """Give up everything that the isolate holds; V8 must be at rest.

        Returns whether the next one of this process can be used.
        """
        ...

    def open_buffer(self) -> memoryview:
        """Return the memory of the buffer that the harness has made; before user code only."""
        ...

    def limit_memory(self, heap_bytes: int) -> None:
        """Terminate JavaScript at the first garbage collection that leaves more than this."""
        ...

    def evaluate(self, code: bytes, *, deadline: float | None = None) -> Value:
        """Run a script and return its value; an exception is a value too."""
        ...

    def call(self, this: Any, *, deadline: float | None = None) -> Value:  # noqa: ANN401
        """Call the harness with a number or a text of this isolate."""
        ...

    def number(self, number: int) -> Any:  # noqa: ANN401 - each way has a type of its own
        """Make an operation's number."""
        ...

    def string(
        self, text: bytes | bytearray, *, latin1: bool = False
    ) -> AbstractContextManager[Any]:
        """Copy UTF-8 or Latin-1 into V8 for the length of a `with` block."""
        ...

    def reset_allocation_failures(self) -> None:
        """Start counting failed allocations; V8 must be at rest."""
        ...

    def allocation_may_have_failed(self) -> bool:
        """Return whether V8 counted a failed allocation, or nothing counts them."""
        ...
