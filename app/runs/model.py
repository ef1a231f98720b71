"""Define runs, what is asked for, and the bodies of requests and responses."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.datasets.model import KeyPointer, Mode
from app.execution_errors import ErrorKind, ThrownError, WrittenError
from app.executions.callback_urls import CallbackUrl
from app.executions.model import Labels, ScriptVersionRef
from app.limits import LimitChoice, Limits, Priority, Seed
from app.payloads.model import PayloadRef
from app.progress.model import EndingStatus
from app.sandbox.outcomes import Io, ScriptKind
from app.sandbox.parts import Format, OnError, Task
from app.sandbox.protocol import Isolation
from app.sandbox.schema_checks import SchemaError
from app.schemas.pinned import SchemaVersionRef

MAX_ERRORS: Final = 100_000
# Below that of executions: those of the tenant come first.
DEFAULT_PRIORITY: Final = -1

# Longer than any valid one, so the parser names the fault.
Reference = Annotated[str, Meta(max_length=200)]
MaxErrors = Annotated[int, Meta(ge=0, le=MAX_ERRORS)]


# The name of its schema in the OpenAPI document, where datasets have a format, too.
Format.__name__ = "RunFormat"


class RunStatus(EndingStatus):
    """The status of a run; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


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

    Its format is `jsonl`; `bytes` for a run over `bytes`. `key` is a JSON pointer; omitted, it is
    the one that the dataset has. `replace`: the new snapshot has the files of the run alone;
    `append`: it also has the others of the one before.
    """

    dataset: str
    key: KeyPointer | UnsetType | None = UNSET
    mode: Mode = Mode.REPLACE


class CreateRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /runs`.

    `script` and `dataset` are references, such as `clean@3` and `orders@7`. With `output`, each
    record goes through `map`, or with `each`, through `process`. If the script has a fold, its
    result is that of the run. `format` is what the script gets: by default that of the dataset,
    `records` of `jsonl`, `lines` of `text` and `csv`, `bytes` of `bytes`, and `records` with
    `each`. `limits` are those of each part.
    """

    script: Reference
    dataset: Reference
    format: Format | None = None
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
    callback_url: CallbackUrl | None = None


class RunError(ThrownError, frozen=True, kw_only=True):
    """Why a run has no result: the error of one of its parts, whose `execution` it names.

    Its members are those of an execution's error, with the kinds that only a run has.
    """

    kind: Annotated[
        str, Meta(extra_json_schema={"enum": [*map(str, ErrorKind), *map(str, RunErrorKind)]})
    ]
    limit_ms: int | UnsetType = UNSET
    limit_bytes: int | UnsetType = UNSET
    byte_offset: int | UnsetType = UNSET
    schema: str | UnsetType = UNSET
    schema_errors: list[SchemaError] | UnsetType = UNSET
    schema_errors_omitted: int | UnsetType = UNSET
    path: str | UnsetType = UNSET
    input_line: int | UnsetType = UNSET
    max_errors: int | UnsetType = UNSET
    execution: UUID | UnsetType = UNSET


# As WrittenError of executions.
WrittenRunError = Annotated[
    Raw, Meta(extra_json_schema={"$ref": f"#/components/schemas/{RunError.__name__}"})
]


class RunProgress(Struct, frozen=True, kw_only=True):
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


class PublishedOutput(Struct, frozen=True, kw_only=True):
    """The dataset that takes the values of `map`; a replay does not publish: they are hashed."""

    dataset: str
    key: str | None
    mode: Mode
    publishes: bool


class SnapshotRef(Struct, frozen=True, kw_only=True):
    """A snapshot of a dataset."""

    dataset: str
    snapshot: int


class RunReceipt(Struct, frozen=True, kw_only=True):
    """Script, input, output, limits and resource usage of a finished run.

    `input_schema` and `output_schema` are those that the version names, `record_schema` that of the
    output's dataset. `input_sha256` and `output_sha256` are of the paths and digests of the files
    of both snapshots. `v8_versions` and `isolations` are those of the parts. `run_ms` and `cpu_ms`
    are sums over all parts, `peak_memory_bytes` is the highest of one.
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
    input_schema: SchemaVersionRef | UnsetType = UNSET
    output_schema: SchemaVersionRef | UnsetType = UNSET
    record_schema: SchemaVersionRef | UnsetType = UNSET


class ReplayedRun(Struct, frozen=True, kw_only=True):
    """How a run that repeats another compares with it, once it has ended.

    `identical`: both have the same status, and the same result and output or the same error; null
    if the original has been deleted. Of the hashes, the original's comes first.
    """

    identical: bool | None
    result_sha256: tuple[str | None, str | None]
    output_sha256: tuple[str | None, str | None]


class Run(Struct, frozen=True, kw_only=True):
    """A run of a script over a snapshot of a dataset.

    `output` is what was asked for, `published` the snapshot that the run has made of it, and
    `error` why it failed. `result_url` has the result of a fold. Only a single run, not one of a
    list or an event, has `params`, `callback_url`, the `result` if that is small, and at its end
    the `receipt`. A replay has `replay_of`, the id of its original, and at its end `replay`.
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
    output: PublishedOutput | None
    labels: dict[str, str]
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: RunProgress
    errors_url: str
    result_url: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    published: SnapshotRef | UnsetType = UNSET
    error: WrittenRunError | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    replay_of: UUID | UnsetType = UNSET
    replay: ReplayedRun | UnsetType = UNSET
    receipt: RunReceipt | UnsetType = UNSET


class Offer(Struct, frozen=True, kw_only=True):
    """What a script version can be run as, and whether its `process` takes JSON or bytes.

    `input_schema` and `output_schema` are references, as `events@3`.
    """

    kinds: Sequence[ScriptKind]
    io: Io
    input_schema: str | None = None
    output_schema: str | None = None


class QueuedRun(Struct, frozen=True, kw_only=True):
    """An accepted run; poll `url`."""

    id: UUID
    status: RunStatus
    url: str


class RunState(Struct, frozen=True, kw_only=True):
    """What distinguishes one state of a run from the next."""

    id: UUID
    status: RunStatus
    parts_done: int

    @property
    def final(self) -> bool:
        """Whether the state can never change again."""
        return self.status.final


class RunFilter(Struct, frozen=True, kw_only=True):
    """The filter of a list of runs; None matches all."""

    script_id: UUID | None = None
    version: int | None = None
    dataset: str | None = None
    snapshot: int | None = None
    status: RunStatus | None = None
    labels: dict[str, str] = {}
    created_from: datetime | None = None
    created_before: datetime | None = None


class FailedRecord(Struct, frozen=True, kw_only=True):
    """A record that a run went on without.

    `path` is null if the file has been deleted since. `execution` is the part that read it, and
    `task` whether `map` or the fold could not take it. `excerpt`, on request, is the beginning of
    its line, 1 KiB at most, where bytes that are not UTF-8 are U+FFFD; it is missing where the line
    is deleted. `redrive` is the re-drive that tries it or has tried it last, and `moved_at` when
    that has published its values after all.
    """

    path: str | None
    line: int
    task: Task
    error: WrittenError
    execution: UUID
    redrive: UUID | None
    moved_at: datetime | None
    excerpt: str | UnsetType = UNSET
