"""Define comparisons of two versions of a script over recorded inputs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from app.execution_errors import ErrorKind
from app.executions.model import Status
from app.limits import MIN_PRIORITY, Priority

# Each input runs twice, all are accepted in one transaction.
MAX_COMPARED: Final = 5_000
MAX_DIFFERENCES: Final = 100
# Of one pair of results.
MAX_CHANGES: Final = 10
# Longer values are reported by their size.
MAX_SHOWN_BYTES: Final = 2_048

Selector = (
    Annotated[int, Meta(ge=1, le=999_999_999)]
    | Annotated[str, Meta(max_length=200, description="a version's number, an alias or `latest`")]
)
_ANY_JSON: Final = {"description": "any JSON, as the script returned it"}


class SampleChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which executions give the inputs: the newest `last` with one of these statuses.

    Replays are left out: they repeat inputs of others.
    """

    last: Annotated[int, Meta(ge=1, le=MAX_COMPARED)] = 1_000
    status: Annotated[
        tuple[Literal["succeeded", "failed", "cancelled"], ...], Meta(min_length=1, max_length=3)
    ] = ("succeeded", "failed")


class CreateComparison(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /scripts/{script}/comparisons`.

    `from` and `to` are two versions of the script, by number, alias or `latest`. Both run with
    the lowest priority unless another is chosen.
    """

    from_: Selector = field(name="from")
    to: Selector
    sample: SampleChoice = SampleChoice()
    priority: Priority = MIN_PRIORITY


class ComparisonState(StrEnum):
    """The state of a comparison; the second is final."""

    RUNNING = "running"
    FINISHED = "finished"


class PairOutcome(StrEnum):
    """How the two executions of one input compare.

    `undecided`: one of them was cancelled or its data was erased before it was compared.
    """

    SAME = "same"
    DIFFERING = "differing"
    NEWLY_FAILED = "newly_failed"
    NEWLY_FIXED = "newly_fixed"
    UNDECIDED = "undecided"


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in the result that differs, by its JSON pointer, and the value on both sides.

    A side without a value there has neither `before` nor `before_bytes`; a value of more than
    2,048 bytes is reported by its size.
    """

    pointer: Annotated[Raw, Meta(extra_json_schema={"type": "string"})]
    before: Annotated[Raw, Meta(extra_json_schema=_ANY_JSON)] | UnsetType = UNSET
    before_bytes: int | UnsetType = UNSET
    after: Annotated[Raw, Meta(extra_json_schema=_ANY_JSON)] | UnsetType = UNSET
    after_bytes: int | UnsetType = UNSET


class ComparedRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The execution of one side; null status: deleted since."""

    execution: UUID
    status: Status | None
    error_kind: ErrorKind | UnsetType = UNSET


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input whose two executions differ; `execution` is the one that recorded it.

    `changes` are the first ten places where two results differ. They are left out where there are
    no two results, and once the data of either execution is erased.
    """

    execution: UUID
    outcome: PairOutcome
    from_: ComparedRun = field(name="from")
    to: ComparedRun
    changes: list[Change] | UnsetType = UNSET


class ComparedScript(Struct, frozen=True, kw_only=True):
    """The script whose versions are compared."""

    id: UUID
    name: str


class Progress(Struct, frozen=True, kw_only=True):
    """How many of the executions have ended."""

    ended: int
    executions: int


class Counts(Struct, frozen=True, kw_only=True):
    """How many inputs had each outcome, and the CPU time of both versions where both succeeded."""

    same: int
    differing: int
    newly_failed: int
    newly_fixed: int
    undecided: int
    from_cpu_ms: float | None
    to_cpu_ms: float | None
    clean: bool

    @property
    def cpu_ratio(self) -> float | None:
        """Return the CPU time of `to` over that of `from`."""
        if not self.from_cpu_ms or self.to_cpu_ms is None:
            return None
        return self.to_cpu_ms / self.from_cpu_ms


class Comparison(Struct, frozen=True, kw_only=True):
    """A comparison of the versions `from` and `to`.

    The `inputs` of the sample run with both, as items of the batch `batch`, which can be cancelled;
    `erased` ones cannot run. Once it has finished it
    says how many inputs are the `same` (equal results as JSON, whatever the order of members, or
    failures of one kind with one message), `differing`, `newly_failed`, `newly_fixed`, and
    `undecided` (an execution was cancelled, or its data erased too early). `clean`: each is the
    same. `cpu_ratio` is the CPU time of `to` over that of `from` where both succeeded; null:
    nowhere. `differences` are the first 100.
    """

    id: UUID
    script: ComparedScript
    from_: int = field(name="from")
    to: int
    state: ComparisonState
    priority: int
    batch: UUID
    inputs: int
    erased: int
    progress: Progress
    created_at: datetime
    finished_at: datetime | None
    clean: bool | UnsetType = UNSET
    same: int | UnsetType = UNSET
    differing: int | UnsetType = UNSET
    newly_failed: int | UnsetType = UNSET
    newly_fixed: int | UnsetType = UNSET
    undecided: int | UnsetType = UNSET
    cpu_ratio: float | UnsetType | None = UNSET
    differences: list[Difference] | UnsetType = UNSET
