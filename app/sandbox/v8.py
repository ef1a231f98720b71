"""Start V8 once per process, and open isolates with the harness in them."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from typing_extensions import override

from app.sandbox import validator, web
from app.sandbox.isolates import Isolate
from app.sandbox.native import (
    ON,
    TURNED_OFF,
    context_check,
    isolate,
    mini_racer,
    self_check,
    snapshot,
    thread_stack,
    threadless,
)
from app.sandbox.native.allocation_failures import AllocationFailures
from app.sandbox.native.code_generation import CodeGeneration
from app.sandbox.native.shared_isolate import SharedIsolate
from app.sandbox.native.v8_functions import V8Functions
from app.sandbox.native.watchdog import Watchdog
from app.sandbox.protocol import Isolation

# `--single-threaded` makes a fork after V8's start possible; the young generation of 32 MiB saves
# a third of the time of large payloads. A heap may grow by half before it is collected: V8 would
# let it grow fourfold, and an execution's limit, which includes garbage that is not collected
# yet, would be exceeded by garbage (40 MiB alive, replaced all the time, exceeded 128 MiB). V8's
# cache of RegExp results is the isolate's and holds the `groups` objects that callbacks of
# `replace` receive: through it one context's object would reach another's.
_FLAGS: Final = (
    "--single-threaded",
    "--disallow-code-generation-from-strings",
    "--min-semi-space-size=32",
    "--max-semi-space-size=32",
    "--max-heap-size=4096",
    "--heap-growing-percent=50",
    "--no-regexp-results-cache",
)
# Of an isolate's thread. V8's part lets user code recurse 50,000 deep; the rest is for native code.
_STACK_BYTES: Final = 8 * 1024 * 1024
_MAX_V8_STACK_KIB: Final = 4_000

# The harness leaves a function under a name, which is removed when the function is called.
_HARNESS: Final = b"globalThis.harness = " + web.compact(
    Path(__file__).with_name("harness.js").read_bytes()
)
_OPEN: Final = b"{ const open = harness; delete globalThis.harness; open() }"
_VALIDATOR: Final = b"globalThis.validator = %b();\n//# sourceURL=validator.js"
# The indexes of the list that the harness returns.
_NOTIFY_PART, _MEMORY_PART, _FUNCTION_PART, _BUFFER_PART = range(4)

_NOTIFY: Final = 1
# What earlier jobs may leave in a shared isolate, heap and buffers together. V8 may free it in the
# time of a later job, whose limits it then widens, or move it first, which narrows them.
_MAX_LEFT_BYTES: Final = 12 * 1024 * 1024


class Engine:
    """V8 in this process. It may be forked as long as no isolate with a thread exists."""

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
        # Of jobs that have schemas; it leaves its exports under a name, as the harness does.
        self.validator = _VALIDATOR % validator.source()
        # Without it each isolate runs the harness itself, which doubles the time to make one.
        snapshot_state = snapshot.install(self.library, self.harness) if native else TURNED_OFF
        self.has_snapshot = snapshot_state == ON
        self.version: str = self.library.mr_v8_version().decode()
        self.native = {
            "snapshot": snapshot_state,
            "code_generation": code_generation.state,
            "allocation_failures": self.allocation_failures.state,
            "thread_stack": stack,
            "threadless": "off: no isolate was made before a fork" if native else TURNED_OFF,
            "contexts": "off: no context was made before a fork" if native else TURNED_OFF,
        }
        self._wanted = native
        self._made: deque[ThreadlessIsolate] = deque()
        self.watchdog: Watchdog | None = None
        self.isolation = Isolation.ISOLATE
        # Of each child of this process.
        self.jobs = 0

    def prepare(self, isolation: Isolation, *, contexts: int, isolates: int) -> None:
        """Make for the children of this process what their jobs begin with, if that works here.

        Afterwards `isolation` and `jobs` say what each child has.
        """
        stack = thread_stack.raise_main(_STACK_BYTES) if self._wanted else TURNED_OFF
        if stack == ON:  # user code runs on the main thread
            self.native["threadless"] = self_check.run(self.library)
        elif self._wanted:
            self.native["threadless"] = stack
        self.native["contexts"] = self._contexts_state(isolation)
        shared = self.native["contexts"] == ON
        self.jobs = contexts if shared else isolates if isolation != Isolation.PROCESS else 1
        self.isolation = Isolation.CONTEXT if shared else Isolation.ISOLATE
        if self.jobs == 1:
            self.isolation = Isolation.PROCESS
        if self.native["threadless"] == ON:
            self._make(shared=shared)

    def _contexts_state(self, isolation: Isolation) -> str:
        if not self._wanted:
            return TURNED_OFF
        if isolation != Isolation.CONTEXT:
            return f"off: SANDBOX_ISOLATION is {isolation.value}"
        if self.native["threadless"] != ON:
            return "off: isolates have threads"
        return context_check.run(self.library)

    def _make(self, *, shared: bool) -> None:
        v8 = V8Functions(self.library)
        watchdog = self.watchdog = Watchdog(v8.terminate)
        if not shared:
            each = (isolate.Isolate(v8, watchdog) for _ in range(self.jobs))
            self._made.extend(ThreadlessIsolate(self, one) for one in each)
            return
        one = SharedIsolate(self.library, v8, watchdog)
        self._made.extend(SharedContext(self, one) for _ in range(self.jobs))
        one.note_fresh()

    def start_watchdog(self, *, on_stuck: Callable[[], NoReturn]) -> None:
        """Start the thread that ends calls of isolates made before the fork, if there are any.

        `on_stuck` runs on it, and ends the process, if V8 does not react to that.
        """
        if self.watchdog is not None:
            self.watchdog.start(on_stuck=on_stuck)

    def open_isolate(self, *, on_console_line: Callable[[], None]) -> Isolate:
        """Take an isolate or context made before the fork, or make an isolate with a thread.

        `on_console_line` runs in the middle of JavaScript, when a console line is in the shared
        memory; it must not call V8.
        """
        if not self._made:
            return ThreadedIsolate(self, on_console_line=on_console_line)
        made = self._made.popleft()
        made.on_console_line = on_console_line
        return made


def flags(*, stack_bytes: int) -> list[str]:
    """Return V8's flags, for isolates whose threads have this stack."""
    v8_stack_kib = min(_MAX_V8_STACK_KIB, stack_bytes // 2 // 1024)
    return [*_FLAGS, f"--stack-size={v8_stack_kib}"]


class ThreadedIsolate(mini_racer.Context):
    """An isolate on a thread that mini-racer starts."""

    takes_latin1 = False
    closes_at_once = False

    def __init__(self, engine: Engine, *, on_console_line: Callable[[], None]) -> None:
        """Make an isolate and open the harness in it; `on_console_line` runs on its thread."""
        self._engine = engine
        self._on_console_line = on_console_line
        super().__init__(engine.library)
        self._open()

    def _open(self) -> None:
        if not self._engine.has_snapshot:
            self.evaluate(self._engine.harness)
        # Before user code: `item` waits for the isolate without a deadline.
        self._parts = self.evaluate(_OPEN)
        self._function = self.item(self._parts, _FUNCTION_PART)
        self.shared_memory = self.item(self._parts, _MEMORY_PART).memory
        self.put_callback(self._parts, _NOTIFY_PART, _NOTIFY)

    def begin(self) -> None:
        """Do nothing: the isolate has its thread."""

    def open_buffer(self) -> memoryview:
        """Return the memory of the buffer that the harness has made; before user code only."""
        return self.item(self._parts, _BUFFER_PART).memory

    def close(self) -> bool:
        """Dispose of the isolate and its thread."""
        self.shared_memory.release()
        self.dispose()
        return True

    def call(self, this: mini_racer.Value, *, deadline: float | None = None) -> mini_racer.Value:
        """Call the harness with a value as its `this`."""
        return self.apply(self._function, this, self._parts, deadline=deadline)

    def reset_allocation_failures(self) -> None:
        """Start counting failed allocations."""
        self._engine.allocation_failures.reset()

    def allocation_may_have_failed(self) -> bool:
        """Return whether V8 counted a failed allocation, or nothing counts them."""
        return self._engine.allocation_failures.any()

    @override
    def on_thread_start(self) -> None:
        self._engine.allocation_failures.watch()

    @override
    def on_callback(self, callback_id: int) -> None:
        if not self._engine.web_apis.answer(self.shared_memory):
            self._on_console_line()


class ThreadlessIsolate(threadless.Context):
    """An isolate that is made before a fork, and used on one thread after it."""

    takes_latin1 = True
    closes_at_once = False

    def __init__(self, engine: Engine, within: isolate.Isolate) -> None:
        """Make a context in an isolate and open the harness in it."""
        self._engine = engine
        self._entered = False
        self.on_console_line: Callable[[], None] = lambda: None
        super().__init__(within)
        self.enter()
        if not engine.has_snapshot:
            self.evaluate(engine.harness)
        self.shared_memory = self.open_parts(
            _OPEN,
            callback_part=_NOTIFY_PART,
            memory_part=_MEMORY_PART,
            function_part=_FUNCTION_PART,
            on_callback=self._on_callback,
        )
        self.exit()

    def begin(self) -> None:
        """Enter the isolate on this thread, the main one."""
        self.enter()
        self._entered = True
        self._engine.allocation_failures.watch()

    def close(self) -> bool:
        """Dispose of the isolate."""
        self._leave()
        self.isolate.dispose()
        return True

    def open_buffer(self) -> memoryview:
        """Return the memory of the buffer that the harness has made; before user code only."""
        return self.buffer_part(_BUFFER_PART)

    def _leave(self) -> None:
        self.shared_memory.release()
        if self._entered:
            self.exit()
        self.drop()

    def limit_memory(self, heap_bytes: int) -> None:
        """Terminate JavaScript at the first garbage collection that leaves more than this."""
        self.isolate.limit_memory(heap_bytes)

    def call(
        self, this: threadless.Text | int, *, deadline: float | None = None
    ) -> threadless.Value:
        """Call the harness with a text or a number as its `this`."""
        return self.apply(this, deadline=deadline)

    def number(self, number: int) -> int:
        """Return the number itself."""
        return number

    def reset_allocation_failures(self) -> None:
        """Start counting failed allocations."""
        self._engine.allocation_failures.reset()

    def allocation_may_have_failed(self) -> bool:
        """Return whether V8 counted a failed allocation, or nothing counts them."""
        return self._engine.allocation_failures.any()

    def _on_callback(self) -> None:
        if not self._engine.web_apis.answer(self.shared_memory):
            self.on_console_line()


class SharedContext(ThreadlessIsolate):
    """A context of an isolate that other contexts, of one tenant, use before and after it."""

    closes_at_once = True

    def __init__(self, engine: Engine, within: SharedIsolate) -> None:
        """Make a context in the isolate and open the harness in it."""
        super().__init__(engine, within)
        self._within = within

    @override
    def limit_memory(self, heap_bytes: int) -> None:
        # Garbage of earlier contexts is not this one's.
        self._within.limit_memory(self._within.heap_bytes + heap_bytes)

    @override
    def close(self) -> bool:
        self._leave()
        within = self._within
        return (
            within.protectors_hold
            and not within.memory_exhausted
            and within.left_bytes <= _MAX_LEFT_BYTES
        )
