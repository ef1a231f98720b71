"""Define executions, their options, receipts and states."""

from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.execution_errors import ErrorKind, WrittenError
from app.limits import (
    MAX_LABEL_VALUE_CHARACTERS,
    MAX_LABELS,
    LimitChoice,
    Limits,
    Priority,
    Seed,
)
from app.losses import WrittenWarnings
from app.payloads.model import PayloadRef, StoredPayload
from app.progress.model import EndingStatus
from app.sandbox.outcomes import Io
from app.sandbox.protocol import Isolation
from app.schemas.pinned import SchemaKey, SchemaVersionRef

JSON_TYPE: Final = "application/json"
LABEL_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._/-]{0,62}"
LabelName = Annotated[str, Meta(pattern=rf"^{LABEL_NAME}$(?!\n)")]
LabelValue = Annotated[str, Meta(max_length=MAX_LABEL_VALUE_CHARACTERS, pattern=r"^[^\x00]*$")]
Labels = Annotated[dict[LabelName, LabelValue], Meta(max_length=MAX_LABELS)]


class Status(EndingStatus):
    """The status of an execution; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PayloadKind(StrEnum):
    """The role of a payload in its execution."""

    INPUT = "input"
    PARAMS = "params"
    RESULT = "result"
    LOGS = "logs"


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a submission: everything except its script and its data.

    `media_type` is that of the data, which a version that takes bytes sees; None: JSON.
    """

    limits: LimitChoice = LimitChoice()
    seed: Seed | None = None
    labels: Labels = {}
    priority: Priority = 0
    params: bytes | None = None
    callback_url: str | None = None
    media_type: str | None = None


def media_type_of(submission: Submission) -> str:
    """Return the media type of a submission's data."""
    return submission.media_type or JSON_TYPE


class Claim(Struct, frozen=True, kw_only=True):
    """A claimed execution: everything a worker needs to run it, and the fencing token."""

    id: UUID
    tenant_id: UUID
    lease_token: int
    attempts: int
    source: bytes
    limits: Limits
    seed: int
    clock_ms: int
    created_at: datetime
    script: str
    version: int
    labels: dict[str, str]
    params: bytes | None
    input: StoredPayload
    request_id: str | None = None
    # Claimed ahead: it begins once a slot is free.
    held: bool = False
    # The input of BYTES has a media type, unless it was recorded as that of a version over JSON.
    io: Io = Io.JSON
    # What the version checks.
    input_schema: SchemaKey | None = None
    output_schema: SchemaKey | None = None
    # It is an item of a batch, for which hardly anybody waits by itself.
    batch_id: UUID | None = None
    # It is a part of a run.
    run_id: UUID | None = None


class ReplayRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a replay; without `script`, the version is that of the original."""

    script: str | None = None


class Replayed(Struct, frozen=True, kw_only=True):
    """What an execution ran with, for a replay; `erased_at`: its data is gone."""

    id: UUID
    status: Status
    run_id: UUID | None
    script_id: UUID
    version: int
    limits: LimitChoice
    seed: int
    clock_ms: int
    labels: dict[str, str]
    priority: int
    params: bytes | None
    erased_at: datetime | None
    input: StoredPayload


class SlotUsage(Struct, frozen=True, kw_only=True):
    """How long an execution of a tenant has occupied a worker slot, in seconds."""

    tenant: UUID
    seconds: float


class Finish(Struct, frozen=True, kw_only=True):
    """The outcome of a claimed execution, as it is recorded.

    `error` and `warnings` are ASCII JSON: text of user code can contain NUL and lone surrogates,
    which PostgreSQL's `text` rejects and JSON escapes preserve. `run_ms` is that of the last run;
    `cpu_ms` and `peak_memory_bytes` cover all cells of the claim (see `Receipt`).
    """

    status: Status
    error_kind: ErrorKind | None
    error: bytes | None
    v8_version: str
    isolation: Isolation
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int
    result: StoredPayload | None
    logs: StoredPayload | None
    warnings: bytes | None = None
    # When a held execution has begun, by `time.monotonic`; None: at its claim.
    begun: float | None = None

    def begun_ms_ago(self) -> float | None:
        """Return how long ago a held execution has begun: PostgreSQL's clock dates it."""
        return None if self.begun is None else (monotonic() - self.begun) * 1_000


class ScriptVersionRef(Struct, frozen=True, kw_only=True):
    """The script version that an execution runs."""

    id: UUID
    name: str
    version: int
    sha256: str


class Receipt(Struct, frozen=True, kw_only=True):
    """Script, input, output, limits and resource usage of a finished execution.

    `input_schema` and `output_schema` are those that the version names: the same version, input
    and schemas give the same output.
    Usage is that of the last attempt. `run_ms` is the run time of user code, in the second cell if
    the first one crashed; for an execution cancelled while running it can be the time its worker
    held it. `cpu_ms` is the sum over all cells of the attempt, including a crashed one, and
    `peak_memory_bytes` their maximum. `isolation` is what it shared with no other execution: a
    V8 `context`, an `isolate` or a `process`. Null: unknown, because the worker was lost or, for
    `isolation`, of an older release.
    """

    script: ScriptVersionRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str | None
    isolation: Isolation | None
    limits: Limits
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    queued_ms: float | None
    run_ms: float | None
    lead_ms: float
    cpu_ms: float | None
    peak_memory_bytes: int | None
    input_schema: SchemaVersionRef | UnsetType = UNSET
    output_schema: SchemaVersionRef | UnsetType = UNSET


class WaitReason(StrEnum):
    """The reason why an execution is still queued."""

    NO_WORKER = "no_worker"
    TOO_LARGE = "too_large"
    OWN_CAP = "own_cap"
    OWN_QUEUE = "own_queue"
    OTHER_TENANTS = "other_tenants"
    NEXT = "next"


class Waiting(Struct, frozen=True, kw_only=True):
    """Queue position of an execution, and the reason why it waits.

    `position` counts the tenant's own executions by priority and age: 1 is claimed next, 1,001
    stands for any position above 1,000. `reason` is `no_worker`: no worker is alive; `too_large`:
    no live worker can enforce its memory limit; `own_cap`: the tenant runs as many executions as
    it may; `own_queue`: others of the tenant come first; `other_tenants`: other tenants have
    queued executions, too, and may come first; `next`: it is claimed as soon as a worker has room.
    """

    position: int
    reason: WaitReason


class BatchItem(Struct, frozen=True, kw_only=True):
    """The batch that an execution belongs to, and the line of the upload that is its input."""

    id: UUID
    line: int


class RunPart(Struct, frozen=True, kw_only=True):
    """The run that an execution is a part of, what it does there, and its number at its level.

    Level 0 reads the dataset; the levels above merge states.
    """

    id: UUID
    part: int
    task: Literal["map", "fold", "merge"]
    level: int


class ReplayOutcome(Struct, frozen=True, kw_only=True):
    """The comparison of a replay with its original.

    `identical`: both have the same status, and the same bytes as their result or the same error.
    `output_sha256` has the hash of the original's result, then that of the replay's; null: none.
    """

    identical: bool
    output_sha256: tuple[str | None, str | None]


class Execution(Struct, frozen=True, kw_only=True):
    """An execution as clients see it.

    `batch` is present on items of a batch, `run` on parts of a run. `params`, `callback_url`, and
    `waiting` while queued, are part of a single execution, not of a list or an event. `error` is
    present on failed executions, `receipt` on all finished ones. Succeeded ones have `result` up to
    1 MiB and `result_url` for any size, and `warnings` if JSON cannot represent a part of the
    result. A replay has `replay_of`, the id of its original, and at its end `replay`.
    """

    id: UUID
    status: Status
    script: ScriptVersionRef
    labels: dict[str, str]
    priority: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    batch: BatchItem | UnsetType = UNSET
    run: RunPart | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    waiting: Waiting | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    error: WrittenError | UnsetType = UNSET
    result_url: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    warnings: WrittenWarnings | UnsetType = UNSET
    data_erased_at: datetime | UnsetType = UNSET
    replay_of: UUID | UnsetType = UNSET
    replay: ReplayOutcome | UnsetType = UNSET
    receipt: Receipt | UnsetType = UNSET


class Queued(Struct, frozen=True, kw_only=True):
    """An accepted submission; poll `url`."""

    id: UUID
    status: Status
    url: str


class ExecutionState(Struct, frozen=True, kw_only=True):
    """The current state of an execution."""

    id: UUID
    status: Status
    attempts: int

    @property
    def final(self) -> bool:
        """Whether the state can never change again."""
        return self.status.final


class ExecutionFilter(Struct, frozen=True, kw_only=True):
    """The filter of a list of executions; None matches all."""

    script_id: UUID | None = None
    version: int | None = None
    status: Status | None = None
    labels: dict[str, str] = {}
    batch_id: UUID | None = None
    run_id: UUID | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
