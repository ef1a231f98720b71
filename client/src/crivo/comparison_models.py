"""Structs of the API's responses about comparisons of two versions."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType, field

from crivo.models import Response


class ComparedScript(Response, frozen=True, kw_only=True):
    """The script whose versions are compared."""

    id: UUID
    name: str


class ComparedRun(Response, frozen=True, kw_only=True):
    """The execution of one side; status None: deleted since."""

    execution: UUID
    status: str | None
    error_kind: str | None = None


class Change(Response, frozen=True, kw_only=True):
    """A place where two results differ, and the JSON there; a long value is only its size."""

    pointer: str
    before: Raw | UnsetType = UNSET
    before_bytes: int | None = None
    after: Raw | UnsetType = UNSET
    after_bytes: int | None = None


class Difference(Response, frozen=True, kw_only=True):
    """An input whose two executions differ; `execution` is the one that recorded it."""

    execution: UUID
    outcome: str
    old: ComparedRun = field(name="from")
    new: ComparedRun = field(name="to")
    changes: list[Change] | None = None


class Progress(Response, frozen=True, kw_only=True):
    """How many of the executions have ended."""

    ended: int
    executions: int


class Comparison(Response, frozen=True, kw_only=True):
    """A comparison of the versions `old` and `new` over recorded inputs.

    Once it has finished it has the counts, and `differences` are the first 100; `clean` says that
    all are the same. `cpu_ratio` is the CPU time of `new` over that of `old`.
    """

    id: UUID
    script: ComparedScript
    old: int = field(name="from")
    new: int = field(name="to")
    state: str
    priority: int
    batch: UUID
    inputs: int
    erased: int
    progress: Progress
    created_at: datetime
    finished_at: datetime | None
    clean: bool | None = None
    same: int | None = None
    differing: int | None = None
    newly_failed: int | None = None
    newly_fixed: int | None = None
    undecided: int | None = None
    cpu_ratio: float | None = None
    differences: list[Difference] | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has finished."""
        return self.finished_at is not None
