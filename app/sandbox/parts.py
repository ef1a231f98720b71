"""Declare the parts of a run: what a script does with its input, and the report about it."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from msgspec import Struct

from app.sandbox.outcomes import RecordOutcome, Report
from app.sandbox.protocol import Rows
from app.sandbox.schema_checks import Checks


class Task(StrEnum):
    """The functions of the script that a part calls."""

    # `map`, for each record, line or chunk; or `process`, for each record.
    MAP = "map"
    # `start`, unless a state is given, then `step` for each chunk.
    FOLD = "fold"
    # `merge`, for each state after the first.
    MERGE = "merge"


class Format(StrEnum):
    """What the script gets of the input."""

    RECORDS = "records"
    LINES = "lines"
    TEXT = "text"
    BYTES = "bytes"


class Output(StrEnum):
    """What the values of `map` become: JSON lines, or the bytes that they are."""

    RECORDS = "records"
    BYTES = "bytes"


class OnError(StrEnum):
    """What happens after a record fails: the part fails, or goes on without it.

    `fail`: at the first one. `skip`: its line and its error are kept. `dead_letter`: so are the
    bytes of the record, up to 64 KiB of each, whose beginning its excerpt shows.
    """

    FAIL = "fail"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"


class Part(Struct, frozen=True, kw_only=True):
    """One part of a run.

    `each_record`: a map calls `process` instead of `map`, with one record each, and writes every
    value as an execution would. `many`: each value of `map` is an array of values. `nulls`: a null
    that `map` returns is written, too, unchecked, so that each record has a line. A part goes on
    after up to `max_errors` failed records. `finish`: the output is the result of `finish`, not
    the state. `first_line` is the number of the input's first line. Raises ValueError if
    `each_record` is combined with another task, format or output, or with `many`.
    """

    task: Task
    format: Format = Format.RECORDS
    output: Output = Output.RECORDS
    each_record: bool = False
    many: bool = False
    nulls: bool = False
    on_error: OnError = OnError.FAIL
    max_errors: int = 1_000
    finish: bool = False
    first_line: int = 1

    def __post_init__(self) -> None:
        """Refuse what `each_record` excludes."""
        chosen = (self.task, self.format, self.output, self.many)
        if self.each_record and chosen != (Task.MAP, Format.RECORDS, Output.RECORDS, False):
            message = "each_record is for a map from records to records, one value each"
            raise ValueError(message)

    def require_use(self, *, states: int, checks: Checks | None) -> None:
        """Raise ValueError for a merge of no states, and for schemas of what is no JSON."""
        if self.task is Task.MERGE and not states:
            message = "a merge of no states"
            raise ValueError(message)
        if checks is None:
            return
        if checks.input is not None and self.format is not Format.RECORDS:
            message = f"an input of {self.format.value} has no schema"
            raise ValueError(message)
        if checks.output is not None and self.output is not Output.RECORDS:
            message = f"an output of {self.output.value} has no schema"
            raise ValueError(message)

    def functions(self, *, states: int) -> list[str]:
        """Return the names of the script's functions that the part calls."""
        names = {
            Task.MAP: ["process" if self.each_record else "map"],
            Task.FOLD: ["start", "step"],
            Task.MERGE: ["merge"] if states > 1 else [],
        }[self.task]
        return [*names, "finish"] if self.finish else names


class RecordError(Struct, frozen=True, kw_only=True):
    """A record that failed; `record`: its bytes, for DEAD_LETTER."""

    line: int
    outcome: RecordOutcome
    record: bytes | None = None


ErrorSink = Callable[[list[RecordError]], Awaitable[None]]


class PartReport(Report, frozen=True, kw_only=True):
    """The report of a part.

    `line`: the line of the input that the part had reached when it failed; of `step` the first
    line of the chunk.
    """

    line: int | None
    rows: Rows
