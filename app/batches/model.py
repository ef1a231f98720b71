"""Define batches, their counts and their states."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from app.limits import MIN_PRIORITY

# Behind the tenant's single executions, which would wait for the whole batch otherwise.
DEFAULT_PRIORITY: Final = MIN_PRIORITY


class BatchStatus(StrEnum):
    """The status of a batch; the last two are final."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class BatchScript(Struct, frozen=True, kw_only=True):
    """The script version that all items of a batch run."""

    id: UUID
    name: str
    version: int


class ItemCounts(Struct, frozen=True, kw_only=True):
    """The number of a batch's items by status."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as clients see it; each of its `items` is an execution.

    It is `finished` when every item is final, whatever its status, and `cancelled` if a client
    ended it before. `progress` is the part of the items that are final. `estimated_finish_at`
    supposes that they go on ending as fast as so far; it is present once two have ended. `script`
    is null where items run versions of their own, as replays do. `callback_url` is part of a single
    batch, not of a list or an event.
    """

    id: UUID
    status: BatchStatus
    script: BatchScript | None
    items: int
    counts: ItemCounts
    progress: Annotated[float, Meta(ge=0, le=1)]
    input_bytes: int
    labels: dict[str, str]
    priority: int
    results_url: str
    created_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None
    estimated_finish_at: datetime | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET

    @property
    def ended(self) -> int:
        """Return how many items are final."""
        return self.counts.succeeded + self.counts.failed + self.counts.cancelled


class QueuedBatch(Struct, frozen=True, kw_only=True):
    """An accepted batch; poll `url`."""

    id: UUID
    status: BatchStatus
    items: int
    url: str


class BatchState(Struct, frozen=True, kw_only=True):
    """What distinguishes one state of a batch from the next."""

    id: UUID
    ended: int
    final: bool
