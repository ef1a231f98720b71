"""Start V8 once per process, and open isolates with the harness in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from typing_extensions import override

from app.sandbox import web
from app.sandbox.native import ON, TURNED_OFF, mini_racer, snapshot, thread_stack
from app.sandbox.native.allocation_failures import AllocationFailures
from app.sandbox.native.code_generation import CodeGeneration
from app.sandbox.native.mini_racer import Value

# `--single-threaded` makes a fork after V8's start possible; the young generation of 32 MiB saves
# a third of the time of large payloads. A heap may grow by half before it is collected: V8 would
# let it grow fourfold, and an execution's limit, which includes garbage that is not collected
# yet, would be exceeded by garbage (40 MiB alive, replaced all the time, exceeded 128 MiB).
_FLAGS: Final = (
    "--single-threaded",
    "--disallow-code-generation-from-strings",
    "--min-semi-space-size=32",
    "--max-semi-space-size=32",
    "--max-heap-size=4096",
    "--heap-growing-percent=50",
)
# Of an isolate's thread. V8's part lets user code recurse 50,000 deep; the rest is for native code.
_STACK_BYTES: Final = 8 * 1024 * 1024
_MAX_V8_STACK_KIB: Final = 4_000

# The harness leaves a function under a name, which is removed when the function is called.
_HARNESS: Final = b"globalThis.harness = " + web.compact(
    Path(__file__).with_name("harness.js").read_bytes()
)
_OPEN: Final = b"{ const open = harness; delete globalThis.harness; open() }"
# The indexes of the list that the harness returns.
_NOTIFY_PART, _MEMORY_PART, _FUNCTION_PART = range(3)

_NOTIFY: Final = 1


class Engine:
    """V8 in this process. It may be forked as long as no isolate exists."""

    def __init__(self, *, native: bool = True) -> None:
        """Load the library, start V8, make a snapshot of the harness. Raises OSError.

        `native` false: use nothing of `app.sandbox.native` that has a fallback.
        """
        stack = thread_stack.set_default(_STACK_BYTES) if native else TURNED_OFF
        stack_bytes = _STACK_BYTES if stack == ON else thread_stack.default_bytes()
        self.library = mini_racer.load(flags(stack_bytes=stack_bytes))
        code_generation = CodeGeneration(self.library, native=native)
        self.web_apis = web.WebApis(code_generation)
        self.allocation_failures = AllocationFailures(self.library, native=native)
        self.harness = self.web_apis.source() + _HARNESS
        # Without it each isolate runs the harness itself, which doubles the time to make one.
        snapshot_state = snapshot.install(self.library, self.harness) if native else TURNED_OFF
        self.has_snapshot = snapshot_state == ON
        self.version: str = self.library.mr_v8_version().decode()
        self.native = {
            "snapshot": snapshot_state,
            "code_generation": code_generation.state,
            "allocation_failures": self.allocation_failures.state,
            "thread_stack": stack,
        }


def flags(*, stack_bytes: int) -> list[str]:
    """Return V8's flags, for isolates whose threads have this stack."""
    v8_stack_kib = min(_MAX_V8_STACK_KIB, stack_bytes // 2 // 1024)
    return [*_FLAGS, f"--stack-size={v8_stack_kib}"]


class Isolate(mini_racer.Context):
    """One isolate and the harness in it."""

    def __init__(self, engine: Engine, *, on_console_line: Callable[[], None]) -> None:
        """Make an isolate and open the harness in it.

        `on_console_line` runs on the isolate's thread, in the middle of JavaScript, when a
        console line is in the shared memory; it must not call V8.
        """
        self._engine = engine
        self._on_console_line = on_console_line
        super().__init__(engine.library)
        self._open()

    def _open(self) -> None:
        if not self._engine.has_snapshot:
            self.evaluate(self._engine.harness)
        # Before user code: `item` waits for the isolate without a deadline.
        self._parts = self.evaluate(_OPEN)
        self.shared = self.item(self._parts, _MEMORY_PART)
        self._function = self.item(self._parts, _FUNCTION_PART)
        self._shared_memory = self.shared.memory
        self.put_callback(self._parts, _NOTIFY_PART, _NOTIFY)

    def call(self, this: Value, *, deadline: float | None = None) -> Value:
        """Call the harness with an operation's number, or the payload, as its `this`.

        Raises DeadlineExceeded at `deadline` (of `time.monotonic`) and HeapExhausted.
        """
        return self.apply(self._function, this, self._parts, deadline=deadline)

    def reset_allocation_failures(self) -> None:
        """Start counting failed allocations; V8 must be at rest."""
        self._engine.allocation_failures.reset()

    def allocation_may_have_failed(self) -> bool:
        """Return whether V8 counted a failed allocation, or nothing counts them."""
        return self._engine.allocation_failures.any()

    @override
    def on_thread_start(self) -> None:
        self._engine.allocation_failures.watch()

    @override
    def on_callback(self, callback_id: int) -> None:
        if not self._engine.web_apis.answer(self._shared_memory):
            self._on_console_line()
