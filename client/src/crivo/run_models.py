"""Structs of the API's responses about runs."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

from crivo.models import (
    FINAL_STATUSES,
    ExecutionError,
    Limits,
    PayloadRef,
    Response,
    SchemaVersionRef,
    ScriptVersionRef,
)


class QueuedRun(Response, frozen=True, kw_only=True):
    """An accepted run."""

    id: UUID
    status: str
    url: str


class PublishedOutput(Response, frozen=True, kw_only=True):
    """The dataset that takes the values of `map`, with the JSON pointer to its records' key.

    A replay does not publish them: `publishes` is false, and they are only compared.
    """

    dataset: str
    key: str | None
    mode: str
    publishes: bool


class RunError(ExecutionError, frozen=True, kw_only=True):
    """The reason why a run has failed, mostly the error of its part `execution`."""

    execution: UUID | None = None


class RunProgress(Response, frozen=True, kw_only=True):
    """The parts that are done, of all, and what they have read, written and failed on.

    `bytes` are raw bytes of the input. Rates are those since the start.
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


class SnapshotRef(Response, frozen=True, kw_only=True):
    """A snapshot of a dataset."""

    dataset: str
    snapshot: int

    def __str__(self) -> str:
        """Write it as a reference, such as `scores@7`."""
        return f"{self.dataset}@{self.snapshot}"


class RunReceipt(Response, frozen=True, kw_only=True):
    """Script, input, output, limits and resource usage of a finished run.

    `run_ms` and `cpu_ms` are sums over all parts, `peak_memory_bytes` is the highest of one.
    `record_schema` is that of the output's dataset.
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
    isolations: list[str]
    limits: Limits
    executions: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    run_ms: float
    cpu_ms: float
    peak_memory_bytes: int | None
    input_schema: SchemaVersionRef | None = None
    output_schema: SchemaVersionRef | None = None
    record_schema: SchemaVersionRef | None = None


class ReplayedRun(Response, frozen=True, kw_only=True):
    """The comparison of a replay with its original; of the hashes, the original's comes first.

    `identical` is None if the original has been deleted.
    """

    identical: bool | None
    result_sha256: tuple[str | None, str | None]
    output_sha256: tuple[str | None, str | None]


class Run(Response, frozen=True, kw_only=True):
    """A run of a script over a snapshot of a dataset; each of its parts is an execution.

    `published` is the snapshot that it has made. Of a fold, `result_url` has the result, and
    `result` is it if it is small. Only where one run is asked for, there are `result`, `params`,
    `callback_url` and `receipt`.
    """

    id: UUID
    status: str
    script: ScriptVersionRef
    input: SnapshotRef
    format: str
    each: str | None
    emit: str
    on_error: str
    max_errors: int
    output: PublishedOutput | None
    labels: dict[str, str]
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: RunProgress
    errors_url: str
    result: Raw | UnsetType = UNSET
    result_url: str | None = None
    published: SnapshotRef | None = None
    error: RunError | None = None
    receipt: RunReceipt | None = None
    params: Raw | UnsetType = UNSET
    callback_url: str | None = None
    replay_of: UUID | None = None
    replay: ReplayedRun | None = None

    @property
    def is_final(self) -> bool:
        """Whether the status can never change again."""
        return self.status in FINAL_STATUSES

    @property
    def reference(self) -> str:
        """Script and version in one text, such as `clean@3`."""
        return f"{self.script.name}@{self.script.version}"


class FailedRecord(Response, frozen=True, kw_only=True):
    """A record that a run went on without, by file and line of the input.

    `path` is None if the file has been deleted since. `execution` is the part, and `task` whether
    `map` or the fold could not take it. `redrive` is the re-drive that tries it or has tried it
    last, and `moved_at` when that has published it after all. `excerpt`, the beginning of the line,
    is there if it was asked for and can still be read.
    """

    path: str | None
    line: int
    task: str
    error: ExecutionError
    execution: UUID
    redrive: UUID | None = None
    moved_at: datetime | None = None
    excerpt: str | None = None

    @property
    def place(self) -> str:
        """File and line in one text, such as `orders.jsonl:7`."""
        return f"{self.path or '(deleted file)'}:{self.line}"


class RunResult(Struct, frozen=True, kw_only=True):
    """The result of a run's fold: `content` is its exact bytes, `json()` its value."""

    content: bytes
    run: Run

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Parse the bytes. Integers are exact, other numbers are floats."""
        return json.loads(self.content)
