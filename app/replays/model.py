"""Define requests that replay recorded executions by filter, and what they lead to."""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.batches.model import QueuedBatch
from app.execution_errors import ErrorKind
from app.executions.envelope import Reference
from app.executions.model import Execution, ExecutionFilter, Labels
from app.limits import MIN_PRIORITY, Priority

MAX_SAMPLES: Final = 10

RecordedStatus = Literal["succeeded", "failed", "cancelled"]
Moment = Annotated[datetime, Meta(tz=True)]


class ReplayFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions on finished executions, which match all of them; replays never match.

    `script` is a script or one of its versions; `from` and `to` bound the time of acceptance, the
    second one excluded.
    """

    script: Reference | UnsetType = UNSET
    status: RecordedStatus | UnsetType = UNSET
    error_kind: ErrorKind | UnsetType = field(name="error.kind", default=UNSET)
    label: Labels | UnsetType = UNSET
    from_: Moment | UnsetType = field(name="from", default=UNSET)
    to: Moment | UnsetType = UNSET

    @property
    def empty(self) -> bool:
        """Report whether every finished execution would match."""
        return all(getattr(self, name) in (UNSET, {}) for name in self.__struct_fields__)


class CreateReplays(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /replays`.

    `script` is the version that all replays run, and then only executions of that script match
    unless the filter names one; without it each execution runs its own version again. They have
    the lowest priority unless another is chosen.
    """

    filter: ReplayFilter
    script: Reference | UnsetType = UNSET
    dry_run: bool = False
    priority: Priority = MIN_PRIORITY


class Conditions(ExecutionFilter, frozen=True, kw_only=True):
    """A filter whose script is resolved; None matches all."""

    error_kind: ErrorKind | None = None


class Matching(Struct, frozen=True, kw_only=True):
    """How many executions match, and how many of these have no input any more."""

    matching: int
    erased: int


class ReplayPlan(Matching, frozen=True, kw_only=True):
    """What a request would replay: all that match and are not erased, and the ten newest."""

    samples: list[Execution]


class QueuedReplays(QueuedBatch, frozen=True, kw_only=True):
    """The batch of accepted replays; `erased` matched and could not be replayed."""

    erased: int | UnsetType = UNSET
