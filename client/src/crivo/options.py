"""Options of calls, as keyword arguments."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypedDict
from uuid import UUID

from crivo.bodies import encode

# A script's name, id or reference, such as `cards`, `cards@3` or `cards@prod`.
Ref = str | UUID

# Names of conditions where the API's differ.
_OF_LETTERS: Final = {"failed_from": "from", "failed_before": "to"}
_OF_EXECUTIONS: Final = {
    "error_kind": "error.kind",
    "labels": "label",
    "created_from": "from",
    "created_before": "to",
}


class LimitOptions(TypedDict, total=False):
    """Limits; an omitted one is the version's or the installation's default."""

    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int


class SchemaOptions(TypedDict, total=False):
    """Schemas that what a script gets and returns has to satisfy, such as `events@3`."""

    input_schema: str
    output_schema: str


class PushOptions(LimitOptions, SchemaOptions, total=False):
    """Options of a new version; `io` is `json`, or `bytes` for a `process` over bytes."""

    note: str
    io: str


class PushSchemaOptions(TypedDict, total=False):
    """Options of a new version of a schema.

    A schema is strict unless it is said otherwise. `compatibility` is what later versions must be:
    `none`, `backward`, `forward` or `full`; it and the description stay as they are if omitted.
    """

    strict: bool
    note: str
    description: str
    compatibility: str


class CheckSchemaOptions(TypedDict, total=False):
    """Options of the check of a schema; `against` refers to a version to compare it with."""

    strict: bool
    against: str


class TableOptions(TypedDict, total=False):
    """Options of a schema's table; `partition` holds `column:type`, `format` is parquet or json."""

    format: str
    name: str
    location: str
    partition: Sequence[str]


class SubmitOptions(LimitOptions, total=False):
    """Options of a submission. `params` is any JSON value: the script's second argument.

    `callback_url` receives a signed POST once the execution has finished. `idempotency_key` makes
    repeated calls one submission, for 24 hours; by default each call has a key of its own.
    """

    seed: int
    priority: int
    params: object
    labels: Mapping[str, str]
    callback_url: str
    idempotency_key: str


class CheckOptions(LimitOptions, SchemaOptions, total=False):
    """Options of a check that runs a sample."""

    params: object
    seed: int


class ExecutionFilter(TypedDict, total=False):
    """Filters of a list of executions; all of them apply, None filters nothing."""

    script: str | None
    status: str | None
    batch: UUID | str | None
    run: UUID | str | None
    labels: Mapping[str, str] | None
    created_from: datetime | None
    created_before: datetime | None


class ReplayFilter(TypedDict, total=False):
    """Conditions on the executions to replay; at least one, and all of them apply."""

    script: str
    status: str
    error_kind: str
    labels: Mapping[str, str]
    created_from: datetime
    created_before: datetime


class RedriveFilter(TypedDict, total=False):
    """What to try again: exactly one of `pipe`, `run` and `execution`.

    Of the dead letters of a `pipe`, the conditions choose some, as those of LetterFilter do. Of the
    failed records of a `run`, `kind` does. `execution` chooses failed executions.
    """

    pipe: str
    run: str
    execution: ReplayFilter
    kind: str
    schema: str
    script: str
    pointer: str
    failed_from: datetime
    failed_before: datetime


class RedriveListFilter(TypedDict, total=False):
    """Filters of a list of re-drives; all apply, None filters nothing. `pipe` is its name or id."""

    status: str | None
    pipe: str | None
    run: str | None
    created_from: datetime | None
    created_before: datetime | None


class RunOptions(LimitOptions, total=False):
    """Options of a run over a dataset; limits are those of each part.

    `format` is what the script gets: `records`, `lines`, `text` or `bytes`. `each="record"` runs
    `process` for each record. With `emit="many"`, `map` returns arrays. After a failed record the
    run fails, or with `on_error` as `skip` or `dead_letter` goes on, until there are more than
    `max_errors`. `output` is the dataset to publish, created if there is none, `key` the JSON
    pointer to its records' key, `mode` as in SendOptions, by default `replace`. Others are as in
    SubmitOptions.
    """

    format: str
    each: str
    emit: str
    on_error: str
    max_errors: int
    output: str
    key: str
    mode: str
    params: object
    labels: Mapping[str, str]
    seed: int
    priority: int
    callback_url: str
    idempotency_key: str


class RunFilter(TypedDict, total=False):
    """Filters of a list of runs; all of them apply, None filters nothing."""

    script: str | None
    dataset: str | None
    status: str | None
    labels: Mapping[str, str] | None
    created_from: datetime | None
    created_before: datetime | None


class ExportOptions(TypedDict, total=False):
    """Options of an export, as the API has them; pointers are JSON pointers such as `/domain`.

    `deduplicate` has a `key`, a pointer or several, and `latest_by`. Of `partition_by`, each level
    is an object with one member, such as `{"year": "/timestamp"}`, or a pointer. `columns` maps
    names to pointers, or to a `pointer` and a `type`; by default they are all members. `to` is a
    destination that the service allows; without it, the files stay there to be downloaded. With
    `replace` it may have an export of another dataset, of a newer snapshot or with other choices.
    `since` is a snapshot that an export with the same options has exported: only what has changed
    is written. `script` maps each record before. A bad row fails the export, or with `on_bad_row`
    as `dead_letter` is left out, until there are more than `max_bad_rows`. Others are as in
    SubmitOptions.
    """

    format: str
    deduplicate: Mapping[str, object]
    partition_by: Sequence[Mapping[str, str] | str]
    columns: Mapping[str, object]
    to: str | None
    replace: bool
    since: int
    script: str
    on_bad_row: str
    max_bad_rows: int
    labels: Mapping[str, str]
    callback_url: str
    idempotency_key: str


class ExportFilter(TypedDict, total=False):
    """Filters of a list of exports; all of them apply, None filters nothing."""

    dataset: str | None
    status: str | None
    labels: Mapping[str, str] | None
    created_from: datetime | None
    created_before: datetime | None


class LetterFilter(TypedDict, total=False):
    """Conditions on dead letters; all of them apply. Times are those of the first failure.

    `state` is `dead`, `moved`, `dropped` or `erased`, and for a list or a download also `all`;
    without it, a list is of all letters, and a download of `dead` ones. `pointer` is that of one of
    the schema's errors.
    """

    pipe: str
    kind: str
    state: str
    schema: str
    script: str
    failed_from: datetime
    failed_before: datetime
    pointer: str


class DatasetOptions(TypedDict, total=False):
    """Options of a dataset; `key` is a JSON pointer. An omitted description or retention is reset.

    `schema` names the schema of its records, such as `events@3`.

    The newest `keep_snapshots` snapshots are kept, and those of the last `keep_days` days.
    """

    format: str
    key: str
    schema: str
    description: str
    keep_snapshots: int
    keep_days: int


class SendOptions(TypedDict, total=False):
    """Options of sending a directory.

    `mode` is `append` or `replace`: whether the dataset keeps the files that it has. `format` and
    `schema` are those of a dataset which does not exist yet. `include` are patterns such as
    `*.jsonl`, `only` the paths of some files. With `only_new`, files are left out that were sent
    with it before, and have not changed since; its mode is `append`. `parallel` is the number of
    parts on their way at once. `state_folder` is where the journal is kept. `on_progress` is
    called with the bytes that are done, and with all.
    """

    mode: str
    format: str
    schema: str
    include: Sequence[str]
    only: Collection[str]
    only_new: bool
    parallel: int
    state_folder: Path
    on_progress: Callable[[int, int], None]


def conditions_on_executions(filters: Mapping[str, object]) -> dict[str, object]:
    """Return the conditions of ReplayFilter under the API's names."""
    return {_OF_EXECUTIONS.get(name, name): value for name, value in filters.items()}


def conditions_on_letters(filters: Mapping[str, object]) -> dict[str, object]:
    """Return the conditions of LetterFilter, or of RedriveFilter, under the API's names."""
    return {_OF_LETTERS.get(name, name): value for name, value in filters.items()}


def as_query(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Write options as query parameters; None is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in options.items():
        match value:
            case None:
                continue
            case _ if name == "idempotency_key":
                continue
            case _ if name == "params":
                pairs.append((name, encode(value).decode()))
            case Mapping() if name == "labels":
                pairs += [("label", f"{label}:{text}") for label, text in value.items()]
            case bool():
                pairs.append((name, "true" if value else "false"))
            case datetime():
                pairs.append((name, value.isoformat()))
            case _:
                pairs.append((name, str(value)))
    return pairs
