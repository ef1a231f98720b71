"""Define re-drives, what they match, and the bodies of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from app.dead_letters.filters import Kind, Pipe, Pointer, SchemaChoice, ScriptChoice
from app.execution_errors import WrittenError
from app.executions.envelope import Reference
from app.executions.model import ScriptVersionRef
from app.progress.model import EndingStatus
from app.replays.model import Moment, ReplayFilter
from app.runs.model import SnapshotRef

MAX_SAMPLES: Final = 10
# Of one re-drive; they are marked in the transaction of its request.
MAX_LETTERS: Final = 100_000
MAX_PER_SECOND: Final = 1_000_000
# Of a sample's value; of a longer one the size alone is shown.
MAX_SHOWN_BYTES: Final = 64 * 1024


class RedriveKind(StrEnum):
    """What a re-drive tries again."""

    PIPE = "pipe"
    RUN = "run"
    EXECUTION = "execution"


class RedriveStatus(EndingStatus):
    """The status of a re-drive; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RedriveFilter(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What to try again: exactly one of `pipe`, `run` and `execution`.

    `pipe`: its dead letters, of which `kind`, `schema`, `script`, `pointer`, `from` and `to`
    choose some. `run`: the failed records of a run, of which `kind` chooses some. `execution`:
    failed executions, by the filter of replays.
    """

    pipe: Pipe | UnsetType = UNSET
    run: Reference | UnsetType = UNSET
    execution: ReplayFilter | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    schema: SchemaChoice | UnsetType = UNSET
    script: ScriptChoice | UnsetType = UNSET
    pointer: Pointer | UnsetType = UNSET
    from_: Moment | UnsetType = field(name="from", default=UNSET)
    to: Moment | UnsetType = UNSET


class CreateRedrive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /redrives`.

    `script` is what tries again: before all that the pipe does with an event, or in place of the
    version of the run or the executions. It is the version that the reference names now. At most
    `per_second` are tried, on average over a batch.
    """

    filter: RedriveFilter
    script: Reference | UnsetType = UNSET
    dry_run: bool = False
    per_second: Annotated[int, Meta(ge=1, le=MAX_PER_SECOND)] | None = None


class RedriveListFilter(Struct, frozen=True, kw_only=True):
    """The filter of a list of re-drives; None matches all."""

    status: RedriveStatus | None = None
    pipe_id: UUID | None = None
    run_id: UUID | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


class RedriveState(Struct, frozen=True, kw_only=True):
    """Whether a re-drive has ended."""

    id: UUID
    final: bool


class Retried(Struct, frozen=True, kw_only=True):
    """One thing that was tried again.

    `id` is that of the dead letter or of the execution, or the record's place, `<path>:<line>`.
    """

    id: str


class RetryFailure(Retried, frozen=True, kw_only=True):
    """One thing that has failed again."""

    error: WrittenError


class RetrySample(Retried, frozen=True, kw_only=True):
    """What trying one again has led to, without a trace.

    `moved` would leave the place where failed work is kept, `dropped` as well, but a script has
    returned null for it and nothing is forwarded, and `left_out` cannot be tried.
    `forward` is the JSON that would be forwarded, up to 64 KiB of it, and `forward_bytes` its size.
    """

    outcome: Literal["moved", "dropped", "failed_again", "left_out"]
    error: WrittenError | UnsetType = UNSET
    forward: Raw | UnsetType = UNSET
    forward_bytes: int | UnsetType = UNSET


class RedrivePlan(Struct, frozen=True, kw_only=True):
    """What a re-drive would match, and the outcomes of the first ten, which were run."""

    matched: int
    samples: list[RetrySample]


class Redrive(Struct, frozen=True, kw_only=True):
    """A re-drive and how far it has come.

    `matched` = `moved` + `dropped` + `failed_again` + `left_out` + `remaining`; nothing that fails
    again is tried twice. `dropped` are dead letters for which a script has returned null.
    `left_out` could not be tried: erased since, or cut as it was kept. `failures` are the first
    ten; of dead letters, those that are still kept, with their last errors. `trouble` says why it
    waits, or why it has failed. Of a run, `published` is the newest snapshot that it has made; of
    executions, `batch_url` names the batch of replays.
    """

    id: UUID
    status: RedriveStatus
    filter: RedriveFilter
    script: ScriptVersionRef | None
    per_second: int | None
    matched: int
    moved: int
    dropped: int
    failed_again: int
    left_out: int
    remaining: int
    failures: Annotated[
        Raw,
        Meta(
            extra_json_schema={
                "type": "array",
                "items": {"$ref": f"#/components/schemas/{RetryFailure.__name__}"},
            }
        ),
    ]
    trouble: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str
    published: SnapshotRef | UnsetType = UNSET
    batch_url: str | UnsetType = UNSET


class NewRedrive(Struct, frozen=True, kw_only=True):
    """A re-drive to be stored; the id of its subject is that of the pipe, run or batch."""

    id: UUID
    kind: RedriveKind
    filter: RedriveFilter
    subject_id: UUID
    script_id: UUID | None
    script_version: int | None
    per_second: int | None
    matched: int


class ClaimedRedrive(Struct, frozen=True, kw_only=True):
    """A re-drive whose next batch this worker tries, until its lease expires."""

    id: UUID
    tenant_id: UUID
    kind: RedriveKind
    pipe_id: UUID | None
    run_id: UUID | None
    batch_id: UUID | None
    script_id: UUID | None
    script_version: int | None
    per_second: int | None
    lease_token: int


class Tally(Struct, frozen=True, kw_only=True):
    """What a batch has come to; `failures`, of which the re-drive shows the first of all batches.

    Those of dead letters have no error: it is kept, and erased, with the letter alone.
    """

    moved: int = 0
    dropped: int = 0
    failed_again: int = 0
    left_out: int = 0
    failures: tuple[Retried, ...] = ()

    @property
    def tried(self) -> int:
        """Return how many were tried."""
        return self.moved + self.dropped + self.failed_again + self.left_out
