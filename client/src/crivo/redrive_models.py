"""Structs of the API's responses about re-drives of failed work."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from crivo.models import ExecutionError, Response
from crivo.run_models import SnapshotRef


class RetryFailure(Response, frozen=True, kw_only=True):
    """One thing that has failed again: a dead letter's id, or a record's `<path>:<line>`."""

    id: str
    error: ExecutionError


class RetrySample(Response, frozen=True, kw_only=True):
    """What trying one again has led to, without a trace.

    `outcome` is `moved`, `dropped`, `failed_again` or `left_out`; `forward` is the JSON that would
    be forwarded, unless it is long.
    """

    id: str
    outcome: str
    error: ExecutionError | None = None
    forward: Raw | UnsetType = UNSET
    forward_bytes: int | None = None


class RedrivePlan(Response, frozen=True, kw_only=True):
    """What a re-drive would match, and the outcomes of the first ten."""

    matched: int
    samples: list[RetrySample]


class RedriveScript(Response, frozen=True, kw_only=True):
    """The version that tries again."""

    id: UUID
    name: str
    version: int


class Redrive(Response, frozen=True, kw_only=True):
    """A re-drive; `matched` is the sum of the five counts after it.

    For what is `dropped`, a script has returned null. `left_out` could not be tried, as it was
    erased since. `failures` are the first ten, and `trouble` says why it waits, or why it has
    failed.
    """

    id: UUID
    status: str
    script: RedriveScript | None
    per_second: int | None
    matched: int
    moved: int
    dropped: int
    failed_again: int
    left_out: int
    remaining: int
    failures: list[RetryFailure]
    trouble: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    published: SnapshotRef | None = None
    batch_url: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.finished_at is not None

    @property
    def tried(self) -> int:
        """How many are not to be tried any more."""
        return self.matched - self.remaining
