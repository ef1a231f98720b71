"""Executions, their receipts and what can be wrong with asking for them, as data."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.execution_errors import ErrorKind, WrittenError
from app.losses import WrittenWarnings
from app.scripts.model import LimitChoice, Seed
from app.settings import MIB
from app.validation import RAW_SHAPE

# Payloads up to this size live in PostgreSQL, and results up to it come inline.
MAX_INLINE_BYTES: Final = 1 * MIB
MAX_ENVELOPE_BYTES: Final = 16 * MIB
MAX_LABELS: Final = 16

# An id or name, `@` and an alias, with room to be told what is wrong.
Reference = Annotated[str, Meta(max_length=200)]
LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$(?!\n)")]
LabelValue = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
# Among a tenant's own: between tenants nobody is let in first by asking for it.
MIN_PRIORITY: Final = -10
MAX_PRIORITY: Final = 10
Priority = Annotated[int, Meta(ge=MIN_PRIORITY, le=MAX_PRIORITY)]
# Queue positions are counted up to this value.
MAX_COUNTED: Final = 1_000

Labels = Annotated[dict[LabelName, LabelValue], Meta(max_length=MAX_LABELS)]


class Status(StrEnum):
    """Where an execution stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Say whether it will never change again."""
        return self not in (Status.QUEUED, Status.RUNNING)


class PayloadKind(StrEnum):
    """What a stored payload is to its execution."""

    INPUT = "input"
    PARAMS = "params"
    RESULT = "result"
    LOGS = "logs"


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an execution is asked for beside its script and its data."""

    limits: LimitChoice = LimitChoice()
    seed: Seed | None = None
    labels: Labels = {}
    priority: Priority = 0
    params: bytes | None = None


# Kept as bytes until their number is known: see app.executions.labels.
_LABELS_SCHEMA: Final = {**msgspec.json.schema(Labels), "default": {}}
RawLabels = Annotated[Raw, Meta(extra_json_schema=_LABELS_SCHEMA, extra={RAW_SHAPE: Labels})]


class Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /executions`. `data` and `params` (64 KiB) stay the bytes that came."""

    script: Reference
    data: Raw
    params: Raw | UnsetType = UNSET
    limits: LimitChoice = LimitChoice()
    seed: Seed | None = None
    labels: RawLabels | UnsetType = UNSET
    priority: Priority = 0


class StoredPayload(Struct, frozen=True, kw_only=True):
    """Bytes at rest: in the row (`body`) or in the blob store (`blob_key`)."""

    sha256: bytes
    size_bytes: int
    body: bytes | None
    blob_key: str | None


class Limits(Struct, frozen=True, kw_only=True):
    """The limits in force for one execution."""

    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int


class LimitPolicy(Struct, frozen=True, kw_only=True):
    """What limits are where nobody chose them (output: as much as may be), and at most."""

    default_wall_ms: int
    default_memory_bytes: int
    most: Limits


class Claim(Struct, frozen=True, kw_only=True):
    """An execution that this worker holds: all it needs to run it, and the fencing token."""

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


class SlotUsage(Struct, frozen=True, kw_only=True):
    """For how many seconds an execution of a tenant has held a worker's slot."""

    tenant: UUID
    seconds: float


class Finish(Struct, frozen=True, kw_only=True):
    """The outcome of a claimed execution, as it is recorded.

    `error` and `warnings` are ASCII JSON: text of user code may hold NUL and lone surrogates, which
    PostgreSQL's text refuses and JSON escapes carry. `run_ms` is the last run's, `cpu_ms` and
    `peak_memory_bytes` are of all cells that the claim has used (`Receipt`).
    """

    status: Status
    error_kind: ErrorKind | None
    error: bytes | None
    v8_version: str
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int
    result: StoredPayload | None
    logs: StoredPayload | None
    warnings: bytes | None = None


class ScriptVersionRef(Struct, frozen=True, kw_only=True):
    """The version that an execution runs."""

    id: UUID
    name: str
    version: int
    sha256: str


class PayloadRef(Struct, frozen=True, kw_only=True):
    """A payload by its hash and size."""

    sha256: str
    bytes: int


class Receipt(Struct, frozen=True, kw_only=True):
    """What was run on what, under which limits, and what it took.

    What was used is that of the last attempt: `run_ms` is how long user code ran, in the second
    cell where a first one crashed; of an execution that was cancelled meanwhile it may be how
    long its worker held it. `cpu_ms` is of all cells that the attempt used, a crashed one too;
    `peak_memory_bytes` is the highest of theirs. Null: nobody was left to tell.
    """

    script: ScriptVersionRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str | None
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


class WaitReason(StrEnum):
    """What keeps an execution queued."""

    NO_WORKER = "no_worker"
    TOO_LARGE = "too_large"
    OWN_CAP = "own_cap"
    OWN_QUEUE = "own_queue"
    OTHER_TENANTS = "other_tenants"
    NEXT = "next"


class Waiting(Struct, frozen=True, kw_only=True):
    """Why an execution is queued.

    `position` among the tenant's own, by priority and age: 1 is claimed next; 1,001 stands for
    any above 1,000. `reason`: `no_worker`: none is alive; `too_large`: none that is alive can keep
    its memory limit; `own_cap`: as many of the tenant's run as may; `own_queue`: others of the
    tenant's come first; `other_tenants`: so does somebody who has had less of the workers;
    `next`: it is claimed when a worker has room.
    """

    position: int
    reason: WaitReason


class Execution(Struct, frozen=True, kw_only=True):
    """An execution as a client sees it.

    `params`, and `waiting` on a queued one, when asked for by itself; `error` on a failed one;
    `receipt` on every finished one; `result` on a succeeded one up to 1 MiB, else `result_url`;
    `warnings` where JSON has nothing for a part of the result.
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
    waiting: Waiting | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    error: WrittenError | UnsetType = UNSET
    result_url: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    warnings: WrittenWarnings | UnsetType = UNSET
    data_erased_at: datetime | UnsetType = UNSET
    receipt: Receipt | UnsetType = UNSET


class Queued(Struct, frozen=True, kw_only=True):
    """The answer to a submission: poll `url`."""

    id: UUID
    status: Status
    url: str


class ExecutionState(Struct, frozen=True, kw_only=True):
    """Which of its states an execution is in."""

    id: UUID
    status: Status
    attempts: int


class ExecutionFilter(Struct, frozen=True, kw_only=True):
    """Which executions a list shows; None means all."""

    script_id: UUID | None = None
    version: int | None = None
    status: Status | None = None
    labels: dict[str, str] = {}
    created_from: datetime | None = None
    created_before: datetime | None = None
