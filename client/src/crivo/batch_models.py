"""Structs of the API's responses about batches."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from crivo.models import Execution, ExecutionError, Response


class BatchScript(Response, frozen=True, kw_only=True):
    """The script version that all items of a batch run."""

    id: UUID
    name: str
    version: int


class ItemCounts(Response, frozen=True, kw_only=True):
    """The number of a batch's items by status."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class QueuedBatch(Response, frozen=True, kw_only=True):
    """An accepted batch."""

    id: UUID
    status: str
    items: int
    url: str


class QueuedReplays(QueuedBatch, frozen=True, kw_only=True):
    """The batch of accepted replays; `erased` matched and could not be replayed."""

    erased: int | None = None


class ReplayPlan(Response, frozen=True, kw_only=True):
    """What would be replayed: those of `matching` that are not erased, and the ten newest."""

    matching: int
    erased: int
    samples: list[Execution]


class Batch(Response, frozen=True, kw_only=True):
    """A batch; each of its `items` is an execution. `progress` is the part that is final."""

    id: UUID
    status: str
    script: BatchScript | None
    items: int
    counts: ItemCounts
    progress: float
    input_bytes: int
    labels: dict[str, str]
    priority: int
    results_url: str
    created_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None
    callback_url: str | None = None
    estimated_finish_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether every item is final."""
        return self.finished_at is not None

    @property
    def ended(self) -> int:
        """The number of items that are final."""
        return self.counts.succeeded + self.counts.failed + self.counts.cancelled


class BatchResult(Response, frozen=True, kw_only=True):
    """The outcome of one item: `line` is that of the input, `id` the execution.

    A succeeded one has `result`, its exact bytes, and a failed one `error`. `result_missing`: its
    result was lost, or erased just before.
    """

    line: int
    id: UUID
    status: str
    result: Raw | UnsetType = UNSET
    error: ExecutionError | None = None
    data_erased_at: datetime | None = None
    result_missing: bool = False

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Parse the result. Raises ValueError if there is none."""
        if self.result is UNSET:
            reason = "it is missing" if self.result_missing else f"it is {self.status}"
            raise ValueError(f"line {self.line} has no result: {reason}")
        return json.loads(bytes(self.result))
