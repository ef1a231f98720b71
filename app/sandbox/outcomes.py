"""What a run takes and what it comes to: the sandbox's vocabulary, as data."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one run, all in force together; `cpu_ms` None: as long as `wall_ms`."""

    wall_ms: int
    cpu_ms: int | None = None
    memory_bytes: int
    output_bytes: int
    console_lines: int = 1_000
    console_bytes: int = 256 * 1024
    console_line_bytes: int = 4 * 1024


class Context(Struct, frozen=True, kw_only=True):
    """What `process` is told of its execution, beside clock and seed: its second argument.

    `params` is a text that V8 reads as JSON, as it reads the input. The defaults stand for a run
    that is no execution: a sample's.
    """

    execution_id: str = "00000000-0000-0000-0000-000000000000"
    script: str = "check"
    version: int = 0
    labels: dict[str, str] = {}
    params: str = "{}"


class Job(Struct, frozen=True, kw_only=True):
    """One run: the user's source and all that decides its output beside the input.

    `source` is UTF-8. `seed` is below 2**53; `clock_ms` is the moment that the script
    sees as now, in ms since 1970. `tenant` keeps tenants out of each other's processes.
    """

    tenant: str
    source: bytes
    seed: int
    clock_ms: int
    limits: Limits
    context: Context = Context()


class ScriptError(Struct, frozen=True, kw_only=True):
    """What user code threw. Any text here is the user's: it may hold NUL and lone surrogates.

    `line` and `column` are 1-based, the column in UTF-16 units, both of the user's own
    source; None where the error carries no position in it. `excerpt` is the source line
    and a caret under the column, two lines. `stack` has the user's frames only.

    `cause` is what the error names as its cause, told in the same way, and so on down;
    `errors` are those of an AggregateError. A circle ends where it closes. At most 12 are
    told in all, with shorter messages and stacks than the error itself.
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
    """The output went to the sink, whole: `output_bytes` of UTF-8 JSON."""

    output_bytes: int


class Threw(Struct, frozen=True, kw_only=True, tag="threw"):
    """User code threw or rejected."""

    error: ScriptError


class TimedOut(Struct, frozen=True, kw_only=True, tag="timed_out"):
    """The run was over its limit of wall time, or of CPU time."""

    limit_ms: int
    of_cpu: bool = False


class OutOfMemory(Struct, frozen=True, kw_only=True, tag="out_of_memory"):
    """The run was over its memory limit; `evidence` says what showed it, for operators.

    `of_host`: it was below it, and the host or container had no more to give.
    """

    limit_bytes: int
    evidence: str
    of_host: bool = False


class InvalidInput(Struct, frozen=True, kw_only=True, tag="invalid_input"):
    """The input is not UTF-8 (`byte_offset` of the first bad byte) or not JSON (V8's message)."""

    message: str
    byte_offset: int | None = None


class InvalidResult(Struct, frozen=True, kw_only=True, tag="invalid_result"):
    """What `process` returned has no JSON: says what it is and where."""

    message: str


class OutputTooLarge(Struct, frozen=True, kw_only=True, tag="output_too_large"):
    """The JSON of the result is longer than the output limit."""

    limit_bytes: int


class UnsettledPromise(Struct, frozen=True, kw_only=True, tag="unsettled_promise"):
    """`process` returned a promise that nothing can settle any more."""


class Crashed(Struct, frozen=True, kw_only=True, tag="crashed"):
    """The cell died, or broke the protocol, without evidence of a limit."""

    detail: str


Outcome = (
    Succeeded
    | Threw
    | TimedOut
    | OutOfMemory
    | InvalidInput
    | InvalidResult
    | OutputTooLarge
    | UnsettledPromise
    | Crashed
)


class LogLine(Struct, frozen=True, kw_only=True):
    """One captured console line; `text` is the user's and may hold lone surrogates."""

    level: str
    text: str


class Loss(Struct, frozen=True, kw_only=True):
    """A place in the result that JSON has nothing for: it was written as something else.

    `code` is stable; `path` is the user's: it may hold lone surrogates.
    """

    code: str
    path: str


class Usage(Struct, frozen=True, kw_only=True):
    """What a run cost: wall and CPU time in ms, the highest resident set in bytes."""

    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int


class Report(Struct, frozen=True, kw_only=True):
    """All that is known of a finished run. `lines_dropped`: console lines over the caps.

    `losses`: what the output of a success lost, ten places at most.
    """

    outcome: Outcome
    logs: tuple[LogLine, ...]
    lines_dropped: int
    usage: Usage
    losses: tuple[Loss, ...] = ()


class Examined(Struct, frozen=True, kw_only=True):
    """What running a source's top level shows.

    Without `findings` it is accepted; then `globals` are the names that the global object was
    given last, a thousand at most, V8's own among them.
    """

    findings: "tuple[Finding, ...]" = ()
    globals: frozenset[str] = frozenset()


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with an uploaded source; positions as in ScriptError.

    `code` is stable: `syntax_error`, `no_process`, `process_not_callable`,
    `top_level_threw`, `top_level_timeout`, `top_level_out_of_memory`.
    """

    line: int | None
    column: int | None
    code: str
    message: str
    excerpt: str | None
