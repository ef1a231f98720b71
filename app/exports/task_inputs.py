"""Define what the tasks of an export read, as JSON in `export_tasks.input`.

A task's stage says which of these its input is. Files that earlier tasks have written are not
named: they are found by export, stage and bucket, those of the continued export by its id.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct


class PartRange(Struct, frozen=True, kw_only=True):
    """Consecutive parts of a file of the dataset, both ends included.

    `first_line` is the number of lines of the file before them.
    """

    file_id: UUID
    path: str
    first_part: int
    last_part: int
    first_line: int


class WholeInput(Struct, frozen=True, kw_only=True):
    """Input of the only task of the stage `whole`: what it reads, in the order of the snapshot.

    Of an export with `base_id` they are the files that were added after the snapshot of that one.
    """

    ranges: Sequence[PartRange]


class MapInput(Struct, frozen=True, kw_only=True):
    """Input of a task of the stage `map`, whose number is its place in the order of the input."""

    ranges: Sequence[PartRange]
    buckets: int


class BucketInput(Struct, frozen=True, kw_only=True):
    """Input of a task of the stage `bucket`; buckets are counted from 0."""

    bucket: int


class WriteInput(Struct, frozen=True, kw_only=True):
    """Input of a task of the stage `write`: the partitions whose files it writes."""

    partitions: Sequence[Sequence[str | None]]


class PublishInput(Struct, frozen=True, kw_only=True):
    """Input of the only task of the stage `publish`: it reads what the export has."""
