"""Declare the sandbox's data: jobs and limits, outcomes and reports."""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from app.sandbox.media_types import OCTET_STREAM
from app.sandbox.protocol import Isolation
from app.sandbox.schema_checks import Checks, SchemaError


class Io(StrEnum):
    """What `process` gets and returns: values that are JSON outside V8, or bytes."""

    JSON = "json"
    BYTES = "bytes"


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one run, all in force together; `cpu_ms` None: as `wall_ms`."""

    wall_ms: int
    cpu_ms: int | None = None
    memory_bytes: int
    output_bytes: int
    console_lines: int = 1_000
    console_bytes: int = 256 * 1024
    console_line_bytes: int = 4 * 1024


class Context(Struct, frozen=True, kw_only=True):
    """The second argument of `process`, without clock and seed.

    `params` is a string that V8 parses as JSON, like the input. The defaults are those of a run
    that is no execution, such as a sample.
    """

    execution_id: str = "00000000-0000-0000-0000-000000000000"
    script: str = "check"
    version: int = 0
    labels: dict[str, str] = {}
    params: str = "{}"


class Job(Struct, frozen=True, kw_only=True):
    """One run: the user's source, and everything that determines its output except the input.

    `source` is UTF-8. `seed` is below 2**53; `clock_ms` is the script's current time, in ms since
    1970. Jobs of two `tenant`s never share a process. With `io` BYTES the input is of `media_type`.
    `checks`: the schemas of its input and output. Raises ValueError for checks of bytes.
    """

    tenant: str
    source: bytes
    seed: int
    clock_ms: int
    limits: Limits
    context: Context = Context()
    io: Io = Io.JSON
    media_type: str = OCTET_STREAM
    checks: Checks | None = None

    def __post_init__(self) -> None:
        """Refuse checks of bytes."""
        if self.checks is not None and self.io is Io.BYTES:
            message = "bytes have no schema"
            raise ValueError(message)


class ScriptError(Struct, frozen=True, kw_only=True):
    """An error that user code threw. All text is the user's: it may hold NUL and lone surrogates.

    `line` and `column` are 1-based, the column in UTF-16 units, both in the user's source; None:
    the error has no position in it. `excerpt` is the source line and a caret under the column,
    two lines. `stack` has the user's frames only.

    `cause` is the error's cause, in the same form, with its own cause; `errors` are those of an
    AggregateError. A cycle ends where it closes. At most 12 nested errors are kept, with shorter
    messages and stacks than the error itself.
    """

    name: str
    message: str
    stack: str = ""
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    cause: "ScriptError | None" = None
    errors: tuple["ScriptError", ...] = ()


class Succeeded(Struct, frozen=True, kw_only=True, tag="succeeded"):
    """The sink has the whole output: `output_bytes` of UTF-8 JSON, or of a media type."""

    output_bytes: int
    media_type: str | None = None


class Threw(Struct, frozen=True, kw_only=True, tag="threw"):
    """User code threw or rejected."""

    error: ScriptError


class TimedOut(Struct, frozen=True, kw_only=True, tag="timed_out"):
    """The run exceeded its limit of wall time or, if `of_cpu`, of CPU time."""

    limit_ms: int
    of_cpu: bool = False


class OutOfMemory(Struct, frozen=True, kw_only=True, tag="out_of_memory"):
    """The run exceeded its memory limit; `evidence` says how that is known, for operators.

    `of_host`: it was below its limit, but the host or container had no memory left.
    """

    limit_bytes: int
    evidence: str
    of_host: bool = False


class InvalidInput(Struct, frozen=True, kw_only=True, tag="invalid_input"):
    """The input is not UTF-8 (`byte_offset`: first invalid byte) or not JSON (V8's message)."""

    message: str
    byte_offset: int | None = None


class InvalidResult(Struct, frozen=True, kw_only=True, tag="invalid_result"):
    """The result of `process` has no JSON, or is no bytes; `message` says which value and where."""

    message: str


class SchemaMismatch(Struct, frozen=True, kw_only=True, tag="schema_mismatch"):
    """The input or the output is not valid by the schema with this URI.

    `errors` are the first ones, a hundred at most; `omitted`: how many more the validator found,
    but which were too long together.
    """

    side: Literal["input", "output"]
    schema: str
    errors: tuple[SchemaError, ...]
    omitted: int = 0


class UnknownSchema(Struct, frozen=True, kw_only=True, tag="unknown_schema"):
    """The event names no schema that a Choice has.

    `values` are its strings, joined by "/", up to the one that is missing: `pointer` is where it
    should be. All text is the user's.
    """

    values: str
    pointer: str | None = None


class OutputTooLarge(Struct, frozen=True, kw_only=True, tag="output_too_large"):
    """The result exceeds the output limit."""

    limit_bytes: int


class UnsettledPromise(Struct, frozen=True, kw_only=True, tag="unsettled_promise"):
    """`process` returned a promise that nothing can settle."""


class Crashed(Struct, frozen=True, kw_only=True, tag="crashed"):
    """The cell died or violated the protocol, without evidence of a limit."""

    detail: str


Outcome = (
    Succeeded
    | Threw
    | TimedOut
    | OutOfMemory
    | InvalidInput
    | InvalidResult
    | SchemaMismatch
    | UnknownSchema
    | OutputTooLarge
    | UnsettledPromise
    | Crashed
)


RecordOutcome = Threw | InvalidInput | InvalidResult | SchemaMismatch | UnknownSchema


class LogLine(Struct, frozen=True, kw_only=True):
    """One captured console line; `text` is the user's and may hold lone surrogates."""

    level: Literal["log", "info", "warn", "error", "debug"]
    text: str


class Loss(Struct, frozen=True, kw_only=True):
    """A value of the result that JSON cannot represent and that was written as something else.

    `code` is stable; `path` is the user's: it may hold lone surrogates.
    """

    code: str
    path: str


class Usage(Struct, frozen=True, kw_only=True):
    """The usage of a run: wall and CPU time in ms, highest resident set in bytes."""

    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int


class Report(Struct, frozen=True, kw_only=True):
    """The report of a finished run. `lines_dropped`: console lines over the limits.

    `losses`: the values that the output of a success lost, ten at most. `isolation`: what the run
    shared with no other.
    """

    outcome: Outcome
    logs: tuple[LogLine, ...]
    lines_dropped: int
    usage: Usage
    isolation: Isolation
    losses: tuple[Loss, ...] = ()


class ScriptKind(StrEnum):
    """What a script offers by the functions at its top level."""

    PROCESS = "process"
    MAP = "map"
    # `start`, `step` and `finish`, and possibly `merge`.
    FOLD = "fold"
    # Beside FOLD: parts can be folded in any order, and their states merged.
    MERGE = "merge"


class Examined(Struct, frozen=True, kw_only=True):
    """The result of running a source's top level.

    Without `findings` the source is accepted; then `globals` are the newest names of the global
    object, a thousand at most, V8's own among them, and `kinds` is what the script offers.
    """

    findings: "tuple[Finding, ...]" = ()
    kinds: tuple[ScriptKind, ...] = ()
    globals: frozenset[str] = frozenset()


class Finding(Struct, frozen=True, kw_only=True):
    """One error or warning about an uploaded source; positions as in ScriptError.

    `code` is stable. The sandbox itself reports `syntax_error`, `no_process`,
    `process_not_callable`, `map_not_callable`, `merge_not_callable`, `incomplete_fold`,
    `top_level_threw`, `top_level_timeout`, `top_level_out_of_memory`.
    """

    line: int | None
    column: int | None
    code: str
    message: str
    excerpt: str | None
