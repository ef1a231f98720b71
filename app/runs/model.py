"""Define runs, what is asked for, and the bodies of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.datasets.model import Mode
from app.execution_errors import ExecutionError
from app.executions.model import Labels, ScriptVersionRef
from app.limits import LimitChoice, Limits, Priority, Seed
from app.payloads.model import PayloadRef
from app.sandbox.parts import Format, OnError
from app.sandbox.protocol import Isolation

MAX_ERRORS: Final = 100_000
# Below that of executions: those of the tenant come first.
DEFAULT_PRIORITY: Final = -1

MaxErrors = Annotated[int, Meta(ge=0, le=MAX_ERRORS)]


class RunStatus(StrEnum):
    """The status of a run; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the status can never change again."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class RunErrorKind(StrEnum):
    """Why a run failed, beside the kinds of errors of its parts."""

    TOO_MANY_ERRORS = "too_many_errors"
    INPUT_DELETED = "input_deleted"
    OUTPUT_DELETED = "output_deleted"
    OUTPUT_REFUSED = "output_refused"
    PART_CANCELLED = "part_cancelled"
    STATE_GONE = "state_gone"


class Emit(StrEnum):
    """What `map` returns: a value, or an array of values."""

    ONE = "one"
    MANY = "many"


class RunOutput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dataset that the values of `map` are published as, which is created if there is none.

    Its format is `jsonl`; `bytes` for a run over `bytes`. `key` is a JSON pointer. `replace`: the
    new snapshot has the files of the run alone; `append`: it also has the others of the one before.
    """

    dataset: str
    key: str | None = None
    mode: Mode = Mode.REPLACE


class CreateRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /runs`.

    `script` and `dataset` are references. With `output`, each record goes through `map`, or with
    `each`, through `process`. A script with a fold has its result, too. `limits` are those of each
    part.
    """

    script: str
    dataset: str
    format: Format = Format.RECORDS
    each: Literal["record"] | None = None
    emit: Emit = Emit.ONE
    on_error: OnError = OnError.FAIL
    max_errors: MaxErrors = 1_000
    output: RunOutput | None = None
    params: Raw | UnsetType = UNSET
    labels: Labels = {}
    priority: Priority = DEFAULT_PRIORITY
    seed: Seed | None = None
    limits: LimitChoice = LimitChoice()
    callback_url: str | None = None


class RunError(ExecutionError, frozen=True, kw_only=True):
    """Why a run has no result: the error of one of its parts, whose `execution` it names."""

    execution: UUID | UnsetType = UNSET


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run has come.

    `parts` read the dataset, in raw `bytes`; merges are not counted. Rates are those since the
    start; without an estimate `remaining_seconds` is null.
    """

    parts: int
    parts_done: int
    bytes: int
    bytes_done: int
    rows_in: int
    rows_out: int
    rows_failed: int
    rows_per_second: float | None
    bytes_per_second: float | None
    remaining_seconds: float | None


class SnapshotRef(Struct, frozen=True, kw_only=True):
    """A snapshot of a dataset."""

    dataset: str
    snapshot: int


class RunReceipt(Struct, frozen=True, kw_only=True):
    """Script, input, output, limits and resource usage of a finished run.

    `input_sha256` and `output_sha256` are of the paths and digests of the files of both snapshots.
    `v8_versions` and `isolations` are those of the parts. `run_ms` and `cpu_ms` are sums over all
    parts, `peak_memory_bytes` is the highest of one.
    """

    script: ScriptVersionRef
    input: SnapshotRef
    input_sha256: str
    params: PayloadRef | None
    output: SnapshotRef | None
    output_sha256: str | None
    result: PayloadRef | None
    seed: int
    clock_ms: int
    v8_versions: list[str]
    isolations: list[Isolation]
    limits: Limits
    executions: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int | None


class ReplayedRun(Struct, frozen=True, kw_only=True):
    """How a run that repeats another compares with it; `identical` is null until it has ended."""

    replay_of: UUID
    identical: bool | None
    result_sha256: list[str | None]
    output_sha256: list[str | None]


class Run(Struct, frozen=True, kw_only=True):
    """A run of a script over a snapshot of a dataset.

    `result`: the result of the fold, if it is small; `result_url` has it whatever its size.
    """

    id: UUID
    status: RunStatus
    script: ScriptVersionRef
    input: SnapshotRef
    format: Format
    each: Literal["record"] | None
    emit: Emit
    on_error: OnError
    max_errors: int
    output: RunOutput | None
    labels: dict[str, str]
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Progress
    result: Raw | UnsetType = UNSET
    result_url: str | None = None
    published: SnapshotRef | None = None
    errors_url: str
    error: Raw | UnsetType = UNSET
    receipt: RunReceipt | UnsetType = UNSET
    replay: ReplayedRun | UnsetType = UNSET
    callback_url: str | None = None


class FailedRecord(Struct, frozen=True, kw_only=True):
    """A record that a run went on without; `excerpt` on request: the beginning of its line."""

    path: str
    line: int
    error: Raw
    execution: UUID
    excerpt: str | UnsetType = UNSET
