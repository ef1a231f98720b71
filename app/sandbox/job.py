"""Run one job in one isolate: from a source and its payload to the output and a verdict."""

import time
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from app.sandbox.bytes_job import BytesJob
from app.sandbox.checks_job import load_checks
from app.sandbox.console import Console
from app.sandbox.exception_parser import parse_uncaught
from app.sandbox.isolates import Value
from app.sandbox.job_memory import JobMemory
from app.sandbox.job_reader import JobReader, NotUtf8, PayloadText
from app.sandbox.native.mini_racer import DeadlineExceeded, HeapExhausted, Type
from app.sandbox.protocol import (
    CHECK,
    CHUNK_BYTES,
    MAX_LATE_NS,
    RUN_BYTES,
    STREAM,
    Frame,
    JobHeader,
    Kind,
    decode_json,
    encode_json,
    encode_result,
)
from app.sandbox.run_clock import RunClock
from app.sandbox.stream_job import OutputTooLarge, StreamFailed, StreamJob
from app.sandbox.v8 import Engine
from app.sandbox.verdicts import Finished, not_utf8, refuse

Send = Callable[[Sequence[Frame]], None]

# The operations of harness.js, by its numbers.
_EXAMINE, _RUN, _SETTLE, _OUTPUT, _FAILURE, _LATEST, _GLOBALS, _LOSSES = range(8)
# Its answer to a payload that is parsed, but too large to be kept during the run; another one is
# that of a run whose output comes later.
_PARSED: Final = 0
# Its answer to _SETTLE after a timer has run, whose microtasks come next.
_AGAIN: Final = -2

# Of a stream's chunk: received, decoded, with its header, V8's own.
_CHUNK_COPIES: Final = 4
# Output with one of these may have lost a value that has no JSON.
_LOSSY: Final = (b"{}", b"null", b'{"0":')
# Time to search for losses; before RESULT is sent, the pool's deadline still runs.
_SHORT_SEARCH_S: Final = 0.1
_LONG_SEARCH_S: Final = 1.0


class IsolateSlot:
    """An isolate that is ready for its only job."""

    def __init__(self, engine: Engine, *, send: Send) -> None:
        """Make the isolate; the frames of its job go to `send`."""
        self._send = send
        self._console: Console | None = None
        self._isolate = engine.open_isolate(on_console_line=self._send_console_line)
        self._validator = engine.validator
        self._clock = RunClock()
        self._streams = False
        self._last_frames: list[Frame] = []
        self._verdict_if_stuck: dict[str, object] = {"kind": "timed_out"}
        self._memory: JobMemory | None = None
        self._muted = False

    @property
    def closes_at_once(self) -> bool:
        """Whether `close` takes no time."""
        return self._isolate.closes_at_once

    def run_job(self, reader: JobReader, *, statm_fd: int) -> tuple[list[Frame], bool]:
        """Receive one job and run it; return its last frames, which the caller sends.

        Also returns whether V8 is at rest and the channel in step: then `close` may be called, and
        this process may run another job. `statm_fd` is /proc/self/statm.
        """
        self._isolate.begin()
        try:
            # Context and payload go to V8 as one string, in one call.
            job, payload = reader.receive(latin1=self._isolate.takes_latin1)
            self._memory = JobMemory(self._isolate, statm_fd=statm_fd, heap_bytes=job.memory_bytes)
            self._prepare(job, payload, self._memory)
            self._run(job, reader, payload)
        except Finished as finished:
            verdict, reusable = finished.verdict, finished.reusable
        except NotUtf8 as error:
            verdict, reusable = not_utf8(error), False
        except DeadlineExceeded:
            verdict, reusable = {"kind": "timed_out"}, False
        except HeapExhausted:
            verdict, reusable = {"kind": "out_of_memory", "evidence": "heap limit"}, False
        return self._frames_of(verdict), reusable

    def give_up(self) -> None:
        """Send the verdict of a job whose thread is stuck in V8; runs on another thread."""
        self._send(self._frames_of(self._verdict_if_stuck))

    def _frames_of(self, verdict: dict[str, object]) -> list[Frame]:
        if not self._clock.run_ns:
            self._clock.stop()
        dropped = self._console.dropped if self._console else 0
        final = {**verdict, "run_ns": self._clock.run_ns, "lines_dropped": dropped}
        if self._streams and self._console:
            line, *rows = self._console.progress
            final.update(input_line=line or None, rows=rows)
        return [*self._last_frames, (Kind.VERDICT, encode_json(final))]

    def close(self) -> bool:
        """Give up everything that the isolate holds; nothing may use it afterwards.

        Returns whether this process may run another job.
        """
        self._console = None
        self._last_frames = []
        return self._isolate.close()

    def _prepare(self, job: JobHeader, payload: PayloadText, memory: JobMemory) -> None:
        """Set the script's world and its limits, except the clock."""
        self._console = Console(
            self._isolate.shared_memory,
            job,
            context_units=payload.context_units,
            input_bytes=len(payload.binary),
        )
        memory.limit(payload_bytes=payload.size_bytes, wall_ms=job.wall_ms)

    def _run(self, job: JobHeader, reader: JobReader, payload: PayloadText) -> NoReturn:
        """Run the script up to its output; always ends in an exception."""
        self._clock.start(wall_ms=job.wall_ms)
        if self._clock.started_ns - job.sent_ns > MAX_LATE_NS:
            self._send([(Kind.STARTED, b"")])
        self._isolate.reset_allocation_failures()
        if payload.checks:
            load_checks(self._isolate, self._validator, payload.checks, self._call, self._clock)
        if job.mode == STREAM:
            self._stream(job, reader, payload)
        if job.mode == RUN_BYTES:
            self._process_bytes(job, reader, payload)
        self._run_top_level(reader.code)
        if job.mode == CHECK:
            self._check()
        self._process(payload, job.output_bytes)

    def _process(self, payload: PayloadText, limit_bytes: int) -> NoReturn:
        """Call `process` with the payload, up to its output."""
        with self._isolate.string(payload.encoded, latin1=payload.latin1) as text:
            payload.encoded.clear()
            answer = self._call(text)
        if answer.type == Type.STRING:
            self._finish_with_small_output(answer, limit_bytes)
        if answer.integer < 0:
            self._fail()
        if answer.integer == _PARSED:
            self._call_for_number(self._isolate.number(_RUN))
        settled = self._settle()
        if settled.type == Type.STRING:
            self._finish_with_small_output(settled, limit_bytes)
        units = settled.integer
        if units < 0:
            self._fail()
        if units > limit_bytes:
            raise Finished("output_too_large")
        self._send_output(units, limit_bytes)

    def _settle(self) -> Value:
        """Run timers and microtasks until the result is there, or has failed."""
        settle = self._isolate.number(_SETTLE)
        settled = self._call(settle)  # microtasks have run since
        while settled.type == Type.INTEGER and settled.integer == _AGAIN:
            settled.free()
            settled = self._call(settle)
        return settled

    def _process_bytes(self, job: JobHeader, reader: JobReader, payload: PayloadText) -> NoReturn:
        """Call `process` with bytes, up to its output, which is bytes."""
        given = BytesJob(self._isolate, call=self._call)
        given.open(payload.binary)
        self._run_top_level(reader.code)
        with self._isolate.string(payload.encoded) as context:
            if self._call(context).integer < 0:
                self._fail()
        length = self._settle().integer
        if length < 0:
            self._fail()
        if length > job.output_bytes:
            raise Finished("output_too_large")
        media_type = given.media_type()
        self._clock.stop()
        self._last_frames = [(Kind.RESULT, encode_result(length))]
        for piece in given.pieces(length):
            if length > CHUNK_BYTES:
                self._send(self._last_frames)
                self._last_frames.clear()
            self._last_frames.append((Kind.OUTPUT, piece))
        raise Finished("succeeded", output_bytes=length, media_type=media_type)

    def _stream(self, job: JobHeader, reader: JobReader, options: PayloadText) -> NoReturn:
        """Run the part of a stream up to its last output."""
        self._streams = True
        stream = StreamJob(
            self._isolate,
            reader,
            call=self._call,
            send=self._send,
            paused=self._clock.paused,
            limit=self._limit_for_chunk,
            output_bytes=job.output_bytes,
        )
        stream.open()
        self._run_top_level(reader.code)
        try:
            stream.begin(self._console, options.encoded)
            units = stream.run()
        except StreamFailed:
            self._fail()
        except OutputTooLarge:
            raise Finished("output_too_large") from None
        limit_bytes = job.output_bytes - stream.sent_bytes
        if units > limit_bytes:
            raise Finished("output_too_large")
        self._send_output(units, limit_bytes, sent_bytes=stream.sent_bytes)

    def _limit_for_chunk(self, length: int) -> None:
        """Set the limits for a chunk of a stream, of which some copies exist for a moment."""
        more_bytes = _CHUNK_COPIES * max(length, CHUNK_BYTES)
        self._memory_of().widen(more_bytes, left_s=self._clock.left_s)

    def _memory_of(self) -> JobMemory:
        if self._memory is None:
            raise RuntimeError("the job has not been received")
        return self._memory

    def _run_top_level(self, code: bytes) -> None:
        value = self._isolate.evaluate(code, deadline=self._clock.deadline)
        if value.type == Type.PARSE_EXCEPTION:
            error = parse_uncaught(value.text, code, by_parser=True)
            raise Finished("refused", code="syntax_error", error=error)
        if value.type >= Type.EXECUTE_EXCEPTION:
            self._top_level_threw(value, code)
        value.free()

    def _check(self) -> NoReturn:
        """Accept a source whose top level ran and defined the functions of some kind."""
        answer = self._call(self._isolate.number(_EXAMINE))
        if answer.type == Type.INTEGER:
            self._fail()
        found = decode_json(answer.memory)
        if "code" in found:
            refuse(found)
        self._call(self._isolate.number(_SETTLE))  # after the microtasks of the top level
        names = decode_json(self._call(self._isolate.number(_GLOBALS)).memory)
        raise Finished("accepted", globals=names, kinds=found["kinds"])

    def _top_level_threw(self, thrown: Value, code: bytes) -> NoReturn:
        error = parse_uncaught(thrown.text, code)
        # V8 has read the stack in order to print it, unless the script did so before.
        latest = decode_json(self._call(self._isolate.number(_LATEST)).memory) or {}
        if error["line"] is None:
            error["line"], error["column"] = latest.get("line"), latest.get("column")
        if self._memory_of().allocation_failed(error, claim=latest.get("allocation", "")):
            evidence = "an array buffer could not be allocated"
            raise Finished("out_of_memory", reusable=False, evidence=evidence)
        raise Finished("refused", code="top_level_threw", error=error)

    def _call_for_number(self, this: Value) -> int:
        """Call the harness for a number; a negative one stands for a failure."""
        answer = self._call(this)
        if answer.type != Type.INTEGER:
            raise RuntimeError("a string in place of a number")
        if answer.integer < 0:
            self._fail()
        return answer.integer

    def _call(self, this: Value) -> Value:
        """Call the harness, which never throws."""
        answer = self._isolate.call(this, deadline=self._clock.deadline)
        if answer.type in {Type.INTEGER, Type.STRING}:
            return answer
        # Not its text, which may be the user's: stderr is evidence.
        raise RuntimeError(f"the harness answered with type {answer.type}")

    def _fail(self) -> NoReturn:
        failure = decode_json(self._call(self._isolate.number(_FAILURE)).memory)
        if failure["kind"] == "refused":
            refuse(failure)
        elif failure["kind"] == "threw":
            failure["allocation"] = self._memory_of().allocation_failed(
                failure["error"], claim=failure["allocation"]
            )
        raise Finished(reusable=not failure.get("allocation"), **failure)

    def _finish_with_small_output(self, answer: Value, limit_bytes: int) -> NoReturn:
        """Keep the output, so that one system call sends it with the verdict."""
        self._clock.stop()
        output = bytes(answer.memory)
        if len(output) > limit_bytes:
            raise Finished("output_too_large")
        # A string never has more UTF-16 units than UTF-8 bytes.
        result = (Kind.RESULT, encode_result(len(output)))
        search_s = _SHORT_SEARCH_S if any(map(output.__contains__, _LOSSY)) else 0.0
        self._succeed([result, (Kind.OUTPUT, output)], len(output), search_s=search_s)

    def _send_output(self, units: int, limit_bytes: int, *, sent_bytes: int = 0) -> NoReturn:
        """Send the output. User code is over: V8 only encodes a string that it holds."""
        self._clock.stop()
        # UTF-8 takes at most three bytes per unit.
        self._memory_of().widen_for_output(3 * units)
        self._send([(Kind.RESULT, encode_result(units))])
        output = self._isolate.call(self._isolate.number(_OUTPUT)).memory
        if len(output) > limit_bytes:
            raise Finished("output_too_large")
        starts = range(0, len(output), CHUNK_BYTES)
        chunks: list[Frame] = [(Kind.OUTPUT, output[at : at + CHUNK_BYTES]) for at in starts]
        self._succeed(chunks, sent_bytes + len(output), search_s=_LONG_SEARCH_S)

    def _succeed(self, frames: list[Frame], output_bytes: int, *, search_s: float) -> NoReturn:
        """Keep the output's frames for the verdict, and search the output for losses."""
        self._last_frames = frames
        self._verdict_if_stuck = {"kind": "succeeded", "output_bytes": output_bytes, "losses": []}
        losses, reusable = self._find_losses(within_s=search_s) if search_s else ([], True)
        raise Finished("succeeded", reusable=reusable, output_bytes=output_bytes, losses=losses)

    def _find_losses(self, *, within_s: float) -> tuple[list[dict[str, str]], bool]:
        """Find values that the output lost; whatever happens meanwhile, the output stands.

        Also returns whether V8 is at rest: a proxy's traps may not return.
        """
        self._muted = True
        try:
            deadline = time.monotonic() + within_s
            answer = self._isolate.call(self._isolate.number(_LOSSES), deadline=deadline)
        except (DeadlineExceeded, HeapExhausted):
            return [], False
        if answer.type != Type.STRING:
            return [], False
        losses: list[dict[str, str]] = decode_json(answer.memory)
        return losses, True

    def _send_console_line(self) -> None:
        """Send a console line; runs on the isolate's thread while JavaScript waits."""
        if self._console is None or self._muted:
            return
        line = self._console.take()
        if line is not None:
            self._send([(Kind.LOG, encode_json(line))])
