"""One job on one isolate: from a source and its payload to the output and a verdict."""

import codecs
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from app.sandbox import lockdown
from app.sandbox.console import Console
from app.sandbox.exception_parser import error_of, parse_uncaught
from app.sandbox.native.mini_racer import DeadlineExceeded, HeapExhausted, Type, Value
from app.sandbox.protocol import (
    CHUNK_BYTES,
    VERSION,
    Frame,
    FrameReader,
    Kind,
    ProtocolError,
    decode_json,
    encode_json,
)
from app.sandbox.v8 import Engine, Isolate

Send = Callable[[Sequence[Frame]], None]

# The operations of harness.js, by its numbers.
_FIND, _RUN, _SETTLE, _OUTPUT, _FAILURE, _LATEST, _GLOBALS, _LOSSES = range(8)
# Its answer to a payload that is read, but too large to be kept for the run.
_READ: Final = 0
# Its answer to _SETTLE when a timer has run, whose microtasks come next.
_AGAIN: Final = -2

# Lets stack traces name the user's file; the last such comment counts.
_SOURCE_URL: Final = b"\n//# sourceURL=process.js"
_REFUSALS: Final = {
    "no_process": ("ReferenceError", "process is not defined"),
    "process_not_callable": ("TypeError", "process is not a function"),
}
# What V8 says when it is refused memory for a buffer; anybody else may say so, too.
_REFUSED: Final = re.compile(
    r"RangeError: (?:Array buffer allocation failed|ArrayBuffer\.[\w.]+: Out of memory)\Z"
)
# Words alone are believed when private memory grew by this part of the limit.
_GROWN: Final = 0.5
# Private memory above the heap: V8's own, and copies that live for a moment.
_HEADROOM: Final = 1.3
_SPARE_BYTES: Final = 96 * 1024 * 1024
_SPARE_CPU_S: Final = 3
# What `JSON.stringify` writes in place of what has no JSON, or where that may have been.
_LOSSY: Final = (b"{}", b"null", b'{"0":')
# How long the look for it may take; until a result is announced the pool's deadline is near.
_SHORT_LOOK_S: Final = 0.1
_LONG_LOOK_S: Final = 1.0
# What V8 has not looked at yet is mostly garbage, and no part of what a script holds.
_YOUNG_BYTES: Final = 32 * 1024 * 1024


class IsolateSlot:
    """An isolate made ready for the one job that it will ever see."""

    def __init__(self, engine: Engine, *, send: Send) -> None:
        """Make the isolate; the frames of its job go to `send`."""
        self._send = send
        self._console: Console | None = None
        self._isolate = Isolate(engine, on_console_line=self._send_console_line)
        self._memory = self._isolate.shared.memory
        self._started_ns = 0
        self._run_ns = 0
        self._deadline = 0.0
        self._data_bytes = 0
        self._cpu_s = 0
        self._last_frames: list[Frame] = []
        self._status_fd = -1
        self._private_bytes = 0
        self._heap_bytes = 0
        self._muted = False

    def work(self, reader: FrameReader, *, status_fd: int) -> bool:
        """Receive one job, do it, send its verdict.

        Says whether V8 is at rest and the pool in step, so that `close` may be called and
        this process may see another job. `status_fd` is /proc/self/status.
        """
        job: dict[str, Any] = decode_json(reader.expect(Kind.JOB))
        if job["protocol"] != VERSION:
            raise ProtocolError(f"protocol {job['protocol']}")
        source = bytes(reader.expect(Kind.SOURCE))
        try:
            # V8 gets both as one text, which is one call.
            payload = bytearray(reader.expect(Kind.CONTEXT))
            context_units = len(payload)
            _receive_payload(reader, payload)
            self._status_fd = status_fd
            self._private_bytes = _private_bytes(status_fd)
            self._prepare(job, len(payload), context_units=context_units)
            self._do(job, source, payload)
        except _Finished as finished:
            verdict, reusable = finished.verdict, finished.reusable
        except DeadlineExceeded:
            verdict, reusable = {"kind": "timed_out"}, False
        except HeapExhausted:
            verdict, reusable = {"kind": "out_of_memory", "evidence": "heap limit"}, False
        if self._started_ns and not self._run_ns:
            self._run_ns = time.monotonic_ns() - self._started_ns
        verdict["run_ns"] = self._run_ns
        verdict["lines_dropped"] = self._console.dropped if self._console else 0
        self._send([*self._last_frames, (Kind.VERDICT, encode_json(verdict))])
        return reusable

    def close(self) -> None:
        """Give back all that the isolate holds; nothing may touch it afterwards."""
        self._console = None
        self._last_frames = []
        self._memory.release()
        self._isolate.close()

    def _prepare(self, job: dict[str, Any], payload_bytes: int, *, context_units: int) -> None:
        """Set the run's world and its limits, all but the clock."""
        limits = job["limits"]
        world = {**job["world"], "context_units": context_units}
        self._console = Console(self._memory, limits, **world)
        self._heap_bytes = int(limits["memory_bytes"])
        self._isolate.limit_memory(self._heap_bytes + _YOUNG_BYTES)
        # The payload is in memory three times for a moment: gathered, copied, V8's own.
        budget = int(_HEADROOM * self._heap_bytes) + 3 * payload_bytes + _SPARE_BYTES
        self._data_bytes = self._private_bytes + budget
        self._cpu_s = int(time.process_time() + limits["wall_ms"] / 1_000) + _SPARE_CPU_S
        lockdown.set_soft_limits(data_bytes=self._data_bytes, cpu_s=self._cpu_s)

    def _do(self, job: dict[str, Any], source: bytes, payload: bytearray) -> NoReturn:
        """Run the script to its output; everything ends in _Finished."""
        limits = job["limits"]
        self._send([(Kind.STARTED, b"")])
        self._isolate.reset_allocation_failures()
        self._started_ns = time.monotonic_ns()
        self._deadline = time.monotonic() + limits["wall_ms"] / 1_000
        self._load(source)
        if job["mode"] == "check":
            self._check()
        with self._isolate.string(payload) as text:
            payload.clear()
            answer = self._ask(text)
        if answer == _READ:
            self._ask(self._isolate.number(_RUN))
        settle = self._isolate.number(_SETTLE)
        settled = self._call(settle)  # microtasks ran since
        while settled.type == Type.INTEGER and settled.integer == _AGAIN:
            settled.free()
            settled = self._call(settle)
        limit_bytes = int(limits["output_bytes"])
        if settled.type == Type.STRING:
            self._deliver_small(settled, limit_bytes)
        units = settled.integer
        if units < 0:
            self._fail()
        if units > limit_bytes:
            raise _Finished("output_too_large")
        self._deliver(units, limit_bytes)

    def _check(self) -> NoReturn:
        """Accept a source whose top level ran and left a `process`."""
        self._ask(self._isolate.number(_FIND))
        self._call(self._isolate.number(_SETTLE))  # after the microtasks of the top level
        names = decode_json(self._call(self._isolate.number(_GLOBALS)).memory)
        raise _Finished("accepted", globals=names)

    def _ask(self, subject: Value) -> int:
        """Call for a number; below 0 there is a failure to ask for."""
        answer = self._call(subject)
        if answer.type != Type.INTEGER:
            raise RuntimeError("a text where a number was due")
        if answer.integer < 0:
            self._fail()
        return answer.integer

    def _call(self, subject: Value) -> Value:
        """Call the harness, which never throws."""
        answer = self._isolate.call(subject, deadline=self._deadline)
        if answer.type in {Type.INTEGER, Type.STRING}:
            return answer
        # Its text may be the user's, and what goes to stderr is evidence.
        raise RuntimeError(f"the harness answered with type {answer.type}")

    def _load(self, source: bytes) -> None:
        """Run the top level."""
        code = source.removeprefix(codecs.BOM_UTF8) + _SOURCE_URL
        value = self._isolate.evaluate(code, deadline=self._deadline)
        if value.type == Type.PARSE_EXCEPTION:
            error = parse_uncaught(value.text, code, by_parser=True)
            raise _Finished("refused", code="syntax_error", error=error)
        if value.type >= Type.EXECUTE_EXCEPTION:
            self._top_level_threw(value, code)
        value.free()

    def _top_level_threw(self, thrown: Value, code: bytes) -> NoReturn:
        error = parse_uncaught(thrown.text, code)
        # V8 has read the stack to print it, unless the script had done so before.
        latest = decode_json(self._call(self._isolate.number(_LATEST)).memory) or {}
        if error["line"] is None:
            error["line"], error["column"] = latest.get("line"), latest.get("column")
        allocating = latest.get("allocating", "")
        if self._was_refused_memory(error, allocating=allocating):
            evidence = "an array buffer could not be allocated"
            raise _Finished("out_of_memory", reusable=False, evidence=evidence)
        raise _Finished("refused", code="top_level_threw", error=error)

    def _fail(self) -> NoReturn:
        failure = decode_json(self._call(self._isolate.number(_FAILURE)).memory)
        if failure["kind"] == "refused":
            name, message = _REFUSALS[failure["code"]]
            failure["error"] = error_of(name, message)
        elif failure["kind"] == "threw":
            failure["allocation"] = self._was_refused_memory(
                failure["error"], allocating=failure["allocation"]
            )
        raise _Finished(reusable=not failure.get("allocation"), **failure)

    def _was_refused_memory(self, error: dict[str, Any], *, allocating: str) -> bool:
        """Say whether memory was refused, and not only by the words, which may be the script's.

        `allocating` is what harness.js knows: "refused" of an error that it saw before user code
        did, "claimed" of one that a buffer threw, but maybe for another reason.
        """
        if allocating == "refused" or (
            allocating == "claimed" and self._isolate.allocation_may_have_failed()
        ):
            return True
        if _REFUSED.match(f"{error['name']}: {error['message']}") is None:
            return False
        grown = _private_bytes(self._status_fd) - self._private_bytes
        return grown > _GROWN * self._heap_bytes

    def _deliver_small(self, answer: Value, limit_bytes: int) -> NoReturn:
        """Keep the output for the verdict's own system call."""
        self._run_ns = time.monotonic_ns() - self._started_ns
        output = bytes(answer.memory)
        if len(output) > limit_bytes:
            raise _Finished("output_too_large")
        # No text has more units than bytes.
        result = (Kind.RESULT, encode_json({"units": len(output)}))
        self._last_frames = [result, (Kind.OUTPUT, output)]
        losses: list[dict[str, str]] = []
        reusable = True
        if any(map(output.__contains__, _LOSSY)):
            losses, reusable = self._losses(within_s=_SHORT_LOOK_S)
        raise _Finished("succeeded", reusable=reusable, output_bytes=len(output), losses=losses)

    def _deliver(self, units: int, limit_bytes: int) -> NoReturn:
        """Send the output. User code is over: V8 only encodes a string it holds."""
        self._run_ns = time.monotonic_ns() - self._started_ns
        # UTF-8 is at most three bytes a unit; the copy is ours, not the script's.
        lockdown.set_soft_limits(
            data_bytes=self._data_bytes + 3 * units + _SPARE_BYTES, cpu_s=self._cpu_s + 60
        )
        self._send([(Kind.RESULT, encode_json({"units": units}))])
        output = self._isolate.call(self._isolate.number(_OUTPUT)).memory
        if len(output) > limit_bytes:
            raise _Finished("output_too_large")
        losses, reusable = self._losses(within_s=_LONG_LOOK_S)
        for start in range(0, len(output), CHUNK_BYTES):
            self._send([(Kind.OUTPUT, output[start : start + CHUNK_BYTES])])
        raise _Finished("succeeded", reusable=reusable, output_bytes=len(output), losses=losses)

    def _losses(self, *, within_s: float) -> tuple[list[dict[str, str]], bool]:
        """Look for what the output lost; whatever happens meanwhile, the output stands.

        Says also whether V8 is at rest: the traps of a proxy may keep it.
        """
        self._muted = True
        try:
            deadline = time.monotonic() + within_s
            found = self._isolate.call(self._isolate.number(_LOSSES), deadline=deadline)
        except (DeadlineExceeded, HeapExhausted):
            return [], False
        if found.type != Type.STRING:
            return [], False
        losses: list[dict[str, str]] = decode_json(found.memory)
        return losses, True

    def _send_console_line(self) -> None:
        """Pass a console line on; runs on the isolate's thread while JavaScript waits."""
        if self._console is None or self._muted:
            return
        line = self._console.take()
        if line is not None:
            self._send([(Kind.LOG, encode_json(line))])


class _Finished(Exception):
    """The verdict is known."""

    def __init__(self, kind: str, *, reusable: bool = True, **details: object) -> None:
        super().__init__(kind)
        self.reusable = reusable
        self.verdict: dict[str, object] = {"kind": kind, **details}


def _receive_payload(reader: FrameReader, payload: bytearray) -> None:
    """Add the payload to what is there; its first byte that is not UTF-8 ends the job there."""
    before = len(payload)
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        kind, length = reader.read_header()
        if kind not in (Kind.INPUT, Kind.END):
            raise ProtocolError(f"frame {kind.name} within the payload")
        for piece in reader.pieces(length):
            _require_utf8(decoder, piece, at=len(payload) - before)
            payload += piece
        if kind is Kind.END:
            _require_utf8(decoder, b"", at=len(payload) - before, final=True)
            return


def _require_utf8(
    decoder: codecs.IncrementalDecoder, piece: bytes | memoryview, *, at: int, final: bool = False
) -> None:
    """Look at the next piece, which begins `at` this byte of the payload."""
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(piece, final=final)
    except UnicodeDecodeError as error:
        offset = at - pending + error.start
        message = f"not UTF-8: {error.reason} at byte {offset}"
        # The rest of the payload is still on its way: no next job can follow it.
        raise _Finished(
            "invalid_input", reusable=False, message=message, byte_offset=offset
        ) from None


def _private_bytes(status_fd: int) -> int:
    """Read VmData, which RLIMIT_DATA limits."""
    status = os.pread(status_fd, 4_096, 0)
    found = re.search(rb"VmData:\s+(\d+) kB", status)
    return int(found[1]) * 1_024 if found else 0
