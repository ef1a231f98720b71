"""Structs of the API's responses.

Fields have the names and types of `/openapi.json`. A field with a default may be absent from a
response; unknown fields of a newer server are ignored. Closed sets such as `status` are plain
text, so that a newer server's values can be read, too.
"""

import json
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType

T = TypeVar("T")

# The final ones of `Execution.status`; the others are `queued` and `running`.
FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all structs."""


class Page(Response, Generic[T], frozen=True, kw_only=True):
    """One page of a list. `next_cursor` is the `cursor` of the next page, None on the last."""

    items: list[T]
    next_cursor: str | None


class Limits(Response, frozen=True, kw_only=True):
    """The limits in force for one run."""

    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int


class ScriptVersionRef(Response, frozen=True, kw_only=True):
    """The script version that an execution runs."""

    id: UUID
    name: str
    version: int
    sha256: str


class SchemaVersionRef(Response, frozen=True, kw_only=True):
    """The version of a schema that something was checked against."""

    id: UUID
    name: str
    version: int
    sha256: str


class SchemaError(Response, frozen=True, kw_only=True):
    """One error of a document: the JSON pointer of the value, and what refuses it.

    `keyword` is `strict` for a field that the schema does not register, None without a verdict.
    """

    pointer: str
    keyword: str | None
    schema_pointer: str | None
    message: str
    value: str | None = None


class PayloadRef(Response, frozen=True, kw_only=True):
    """A payload, identified by its SHA-256 (hexadecimal) and its size in bytes.

    Bytes that a script takes or returns as they are have a `media_type`; others are JSON.
    """

    sha256: str
    bytes: int
    media_type: str | None = None


class ThrownError(Response, frozen=True, kw_only=True):
    """An error that a script threw, with its `cause` and its aggregated `errors`."""

    message: str
    name: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    stack: str | None = None
    cause: "ThrownError | None" = None
    errors: "list[ThrownError] | None" = None


class ExecutionError(ThrownError, frozen=True, kw_only=True):
    """The reason why an execution has no result; `kind` is stable.

    `schema` is the version that refuses the input or the output, such as `events@3`, and
    `schema_errors` are its first errors; `schema_errors_omitted` counts the others.
    Of a part of a run, `path` and `input_line` are the file of the input and the line that it had
    reached, and `max_errors` is that of the run if more records have failed.
    """

    kind: str
    limit_ms: int | None = None
    limit_bytes: int | None = None
    byte_offset: int | None = None
    schema: str | None = None
    schema_errors: list[SchemaError] | None = None
    schema_errors_omitted: int | None = None
    path: str | None = None
    input_line: int | None = None
    max_errors: int | None = None


class ResultWarning(Response, frozen=True, kw_only=True):
    """A value of the result that JSON cannot represent; `path` starts at `result`."""

    code: str
    path: str
    message: str


class Waiting(Response, frozen=True, kw_only=True):
    """Queue position of an execution among its tenant's own, and the reason why it waits."""

    position: int
    reason: str


class Receipt(Response, frozen=True, kw_only=True):
    """Script, input, output, limits and resource usage of a finished execution."""

    script: ScriptVersionRef
    input: PayloadRef
    params: PayloadRef | None
    output: PayloadRef | None
    seed: int
    clock_ms: int
    v8_version: str | None
    isolation: str | None
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
    input_schema: SchemaVersionRef | None = None
    output_schema: SchemaVersionRef | None = None


class ReplayOutcome(Response, frozen=True, kw_only=True):
    """The comparison of a replay with its original: hash of the original's result, of its own."""

    identical: bool
    output_sha256: tuple[str | None, str | None]


class BatchItem(Response, frozen=True, kw_only=True):
    """The batch that an execution belongs to, and the line of its input."""

    id: UUID
    line: int


class RunPart(Response, frozen=True, kw_only=True):
    """The run that an execution is a part of, its task there, and its number at its level.

    Level 0 reads the dataset; the levels above merge states.
    """

    id: UUID
    part: int
    task: str
    level: int


class Queued(Response, frozen=True, kw_only=True):
    """An accepted submission."""

    id: UUID
    status: str
    url: str


class Execution(Response, frozen=True, kw_only=True):
    """An execution. `result` is present up to 1 MiB, and only where one execution is asked for."""

    id: UUID
    status: str
    script: ScriptVersionRef
    labels: dict[str, str]
    priority: int
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    batch: BatchItem | None = None
    run: RunPart | None = None
    callback_url: str | None = None
    waiting: Waiting | None = None
    params: Raw | UnsetType = UNSET
    error: ExecutionError | None = None
    result_url: str | None = None
    result: Raw | UnsetType = UNSET
    warnings: list[ResultWarning] | None = None
    data_erased_at: datetime | None = None
    replay_of: UUID | None = None
    replay: ReplayOutcome | None = None
    receipt: Receipt | None = None

    @property
    def is_final(self) -> bool:
        """Whether the status can never change again."""
        return self.status in FINAL_STATUSES


class Attempt(Response, frozen=True, kw_only=True):
    """One attempt to deliver a callback; without a `status_code` there was no answer."""

    number: int
    started_at: datetime
    status_code: int | None


class Callback(Response, frozen=True, kw_only=True):
    """A callback and its last attempts; `id` is its `webhook-id`, the same in each of them."""

    id: UUID
    url: str
    status: str
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: list[Attempt]


class ConsoleLine(Response, frozen=True, kw_only=True):
    """A line that the script wrote to its console."""

    level: str
    text: str


class Console(Response, frozen=True, kw_only=True):
    """The captured console; `lines_dropped` counts the lines beyond its limits."""

    lines: list[ConsoleLine]
    lines_dropped: int


class Ready(Response, frozen=True, kw_only=True):
    """The state of the service; `access` is `keys` if requests need one, else `open`."""

    ready: bool
    missing: list[str]
    access: str
    degraded: list[str] | None = None
    v8_version: str | None = None


class Result(Struct, frozen=True, kw_only=True):
    """The result of an execution: `content` is its exact bytes, `json()` its value."""

    content: bytes
    execution: Execution

    @property
    def warnings(self) -> list[ResultWarning]:
        """The values of the result that JSON cannot represent."""
        return self.execution.warnings or []

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Parse the bytes. Integers are exact, other numbers are floats."""
        return json.loads(self.content)
