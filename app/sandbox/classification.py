"""Classify a run: from a cell's verdict and exit to one outcome, by a fixed order of evidence."""

import signal
from collections.abc import Iterator
from typing import Annotated, Final, assert_never

from msgspec import Meta, Struct
from msgspec.structs import replace

from app.sandbox.excerpts import Lines
from app.sandbox.meter import Exit
from app.sandbox.mismatches import (
    MISMATCH,
    UNKNOWN,
    SchemaVerdict,
    mismatch_of,
    require_fitting,
)
from app.sandbox.outcomes import (
    Crashed,
    Finding,
    InvalidInput,
    InvalidResult,
    Limits,
    LogLine,
    Loss,
    Outcome,
    OutOfMemory,
    OutputTooLarge,
    RecordOutcome,
    ScriptError,
    Succeeded,
    Threw,
    TimedOut,
    UnsettledPromise,
    Usage,
)
from app.sandbox.protocol import ProtocolError
from app.sandbox.schema_checks import Checks

# V8's messages when it aborts for lack of memory.
_OUT_OF_MEMORY: Final = (
    b"out of memory",
    b"Out of memory:",
    b"OOM in",
    b"llocation failed",
    b"MemoryError:",
)
# Signals of V8's aborts, which under RLIMIT_DATA sometimes print nothing.
_ABORTS: Final = (signal.SIGTRAP, signal.SIGABRT, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS)
# A run that times out above this part of its memory limit was collecting garbage.
_NEAR_TIMEOUT: Final = 0.9
# V8's young generation and its garbage add up to this to any run's resident set.
V8_OVERHEAD_BYTES: Final = 112 * 1024 * 1024
# V8 checks the heap limit when it collects garbage, so the resident set overshoots.
HEADROOM: Final = 1.3
_NEAR_ABORT: Final = 0.5
# The number of causes and aggregated errors that harness.js reports.
_MAX_NESTED: Final = 12

_REFUSALS: Final = {
    "no_process": "there is no `process` at the top level of the source",
    "process_not_callable": "`process` is not a function",
    "map_not_callable": "`map` is not a function",
    "merge_not_callable": "`merge` is not a function",
}


# A cell that was taken over may send integers of any length.
Count = Annotated[int, Meta(ge=0, le=2**53)]


class ErrorText(Struct, frozen=True, forbid_unknown_fields=True):
    """An error as the cell reports it."""

    name: str
    message: str
    stack: str
    line: Count | None
    column: Count | None
    cause: "ErrorText | None" = None
    errors: "tuple[ErrorText, ...]" = ()


class CellVerdict(SchemaVerdict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The VERDICT frame."""

    kind: str
    run_ns: Count
    lines_dropped: Count
    output_bytes: Count = 0
    message: str = ""
    byte_offset: Count | None = None
    evidence: str = ""
    allocation: bool = False
    code: str = ""
    error: ErrorText | None = None
    globals: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    kinds: tuple[str, ...] = ()
    input_line: Count | None = None
    rows: tuple[Count, Count, Count] = (0, 0, 0)
    media_type: str | None = None


class RecordFailure(SchemaVerdict, frozen=True, kw_only=True):
    """How a record of a stream failed, as the cell reports it."""

    kind: str
    message: str = ""
    error: ErrorText | None = None


class RecordErrorFrame(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ERROR frame."""

    line: Count
    failure: RecordFailure


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known about the end of a run."""

    verdict: CellVerdict | None
    breach: str | None
    killed_for: str | None
    # Processes of our control group that the kernel killed for lack of memory during the run.
    oom_kills: int = 0
    exit: Exit | None
    stderr: bytes
    # The resident set: when the job began, highest, and last seen.
    base_bytes: int
    peak_bytes: int
    last_bytes: int
    # Private memory, resident or not, when last seen: an array that is not written is not resident.
    private_growth_bytes: int
    output_bytes: int


class SessionReport(Struct, frozen=True, kw_only=True):
    """The pool's record of a session; `reusable`: the cell can run another job."""

    evidence: Evidence
    reusable: bool
    logs: tuple[LogLine, ...]
    lines_dropped: int
    run_ns: int
    cpu_ns: int
    peak_bytes: int

    @property
    def usage(self) -> Usage:
        """The usage of the run."""
        return Usage(
            run_ms=self.run_ns / 1e6,
            cpu_ms=self.cpu_ns / 1e6,
            peak_memory_bytes=self.peak_bytes,
        )


def max_resident_bytes(limits: Limits) -> int:
    """Return the memory at which a run is killed, not counting its payload."""
    return int(HEADROOM * limits.memory_bytes) + V8_OVERHEAD_BYTES


def classify(evidence: Evidence, *, limits: Limits, source: bytes) -> Outcome:
    """Return the outcome of a run."""
    if evidence.breach is not None:
        return Crashed(detail=f"the cell broke the protocol: {evidence.breach}")
    if evidence.verdict is not None:
        return _from_verdict(evidence.verdict, evidence, limits=limits, source=source)
    return _from_exit(evidence, limits)


def classify_record(
    failure: RecordFailure, *, source: bytes, checks: Checks | None
) -> RecordOutcome:
    """Return the outcome of one record of a stream. Raises ProtocolError."""
    require_fitting(failure.kind, failure, checks)
    match failure.kind:
        case "threw" if failure.error is not None:
            return Threw(error=_script_error(failure.error, source))
        case "invalid_input":
            return InvalidInput(message=failure.message)
        case "invalid_result":
            return InvalidResult(message=failure.message)
        case kind if kind in {MISMATCH, UNKNOWN}:
            return mismatch_of(failure.kind, failure)
        case "output_too_large":
            return InvalidResult(message="the result is longer than a string can be")
        case _:
            raise ProtocolError("a record failed in a way that does not exist")


def to_finding(outcome: Threw | TimedOut | OutOfMemory, verdict: CellVerdict | None) -> Finding:
    """Return the finding for which a check refuses a source."""
    match outcome:
        case Threw(error=error):
            code = verdict.code if verdict is not None and verdict.code else "top_level_threw"
            text = _REFUSALS.get(code) or (
                error.message if code == "incomplete_fold" else _headline(error)
            )
            return Finding(
                line=error.line,
                column=error.column,
                code=code,
                message=text,
                excerpt=error.excerpt,
            )
        case TimedOut(limit_ms=limit_ms):
            return _finding(
                "top_level_timeout",
                f"the top-level code ran longer than its limit of {limit_ms} ms",
            )
        case OutOfMemory(limit_bytes=limit):
            return _finding(
                "top_level_out_of_memory",
                f"the top-level code needed more memory than its limit of {limit} bytes",
            )
        case _:
            assert_never(outcome)


def _from_verdict(  # noqa: C901, PLR0911 - one case, one return for each kind of outcome
    verdict: CellVerdict, evidence: Evidence, *, limits: Limits, source: bytes
) -> Outcome:
    match verdict.kind:
        case "succeeded":
            if verdict.output_bytes != evidence.output_bytes:
                return Crashed(detail="the cell sent less output than it said")
            return Succeeded(output_bytes=verdict.output_bytes, media_type=verdict.media_type)
        case "threw" if verdict.allocation:
            return _out_of_memory(limits, "an array buffer could not be allocated")
        case "threw" | "refused" if verdict.error is not None:
            return Threw(error=_script_error(verdict.error, source))
        case "timed_out":
            return _timed_out(evidence, limits)
        case "out_of_memory":
            return _out_of_memory(limits, verdict.evidence)
        case "invalid_input":
            return InvalidInput(message=verdict.message, byte_offset=verdict.byte_offset)
        case "invalid_result":
            return InvalidResult(message=verdict.message)
        case kind if kind in {MISMATCH, UNKNOWN}:
            return mismatch_of(verdict.kind, verdict)
        case "output_too_large":
            return OutputTooLarge(limit_bytes=limits.output_bytes)
        case "unsettled_promise":
            return UnsettledPromise()
        case _:
            return Crashed(detail="the cell gave a verdict that does not exist")


def _from_exit(evidence: Evidence, limits: Limits) -> Outcome:
    status = evidence.exit.status if evidence.exit is not None else None
    if evidence.killed_for == "memory":
        return _out_of_memory(limits, f"resident set of {evidence.peak_bytes} bytes")
    if evidence.killed_for is None and status == -signal.SIGKILL and evidence.oom_kills > 0:
        detail = f"killed by the kernel for lack of memory, at {evidence.peak_bytes} bytes"
        return OutOfMemory(limit_bytes=limits.memory_bytes, evidence=detail, of_host=True)
    if any(message in evidence.stderr for message in _OUT_OF_MEMORY):
        return _out_of_memory(limits, "V8 ended itself: out of memory")
    if evidence.killed_for in {"deadline", "cpu"} or status == -signal.SIGXCPU:
        return _timed_out(evidence, limits)
    if (
        status is not None
        and -status in _ABORTS
        and max(evidence.peak_bytes - evidence.base_bytes, evidence.private_growth_bytes)
        > _NEAR_ABORT * limits.memory_bytes
    ):
        return _out_of_memory(limits, f"V8 ended itself at {evidence.peak_bytes} bytes")
    return Crashed(detail=_describe_exit(evidence, status))


def _describe_exit(evidence: Evidence, status: int | None) -> str:
    if evidence.killed_for is not None:
        how = f"killed: {evidence.killed_for}"
    elif status is None:
        how = "its end is unknown"
    elif status < 0:
        how = f"ended by {signal.Signals(-status).name}"
    else:
        how = f"exit status {status}"
    stderr = evidence.stderr[:500].decode(errors="replace").strip()
    return f"{how}; stderr: {stderr}" if stderr else how


def _timed_out(evidence: Evidence, limits: Limits) -> Outcome:
    near = max(_NEAR_TIMEOUT * limits.memory_bytes, V8_OVERHEAD_BYTES)
    if evidence.last_bytes > evidence.base_bytes + near:
        return _out_of_memory(limits, "at the limit when time ran out")
    if evidence.killed_for == "cpu" and limits.cpu_ms is not None:
        return TimedOut(limit_ms=limits.cpu_ms, of_cpu=True)
    return TimedOut(limit_ms=limits.wall_ms)


def _out_of_memory(limits: Limits, evidence: str) -> OutOfMemory:
    return OutOfMemory(limit_bytes=limits.memory_bytes, evidence=evidence)


def _script_error(error: ErrorText, source: bytes) -> ScriptError:
    return _with_excerpts(error, Lines(source), iter(range(_MAX_NESTED)))


def _with_excerpts(error: ErrorText, lines: Lines, budget: Iterator[int]) -> ScriptError:
    """Add the excerpts. A cell exceeds the budget only if user code has taken it over."""
    nested = [error.cause, *error.errors]
    cause, *errors = [
        None
        if inner is None or next(budget, None) is None
        else _with_excerpts(inner, lines, budget)
        for inner in nested
    ]
    plain = ScriptError(
        name=error.name,
        message=error.message,
        stack=error.stack,
        cause=cause,
        errors=tuple(inner for inner in errors if inner is not None),
    )
    if error.line is None or error.column is None:
        return plain
    line, column = lines.clamp(error.line, error.column)
    return replace(plain, line=line, column=column, excerpt=lines.excerpt(line, column))


def _headline(error: ScriptError) -> str:
    if error.name == "SyntaxError":
        return error.message
    return f"{error.name}: {error.message}" if error.message else error.name


def _finding(code: str, message: str) -> Finding:
    return Finding(line=None, column=None, code=code, message=message, excerpt=None)
