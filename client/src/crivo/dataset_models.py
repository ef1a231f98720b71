"""Structs of the API's responses about datasets, and of what the client makes of them."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw

from crivo.models import Response


class Snapshot(Response, frozen=True, kw_only=True):
    """One immutable state of a dataset, with the totals of its files.

    `records` are the lines that are not blank; `missing_keys` are those without the key.
    """

    number: int
    mode: str
    files: int
    raw_bytes: int
    stored_bytes: int
    lines: int
    records: int
    missing_keys: int
    created_at: datetime


class Dataset(Response, frozen=True, kw_only=True):
    """A dataset with its newest snapshot; `snapshot` is the one that a reference names.

    Each record satisfies `schema`, an exact version such as `events@3`, if there is one.
    """

    id: UUID
    name: str
    format: str
    key: str | None
    schema: str | None = None
    description: str
    keep_snapshots: int | None
    keep_days: int | None
    created_at: datetime
    updated_at: datetime
    latest_snapshot: Snapshot | None
    snapshot: Snapshot | None = None


class File(Response, frozen=True, kw_only=True):
    """A file of a snapshot; `added_in` is the first snapshot with this content.

    `digest` is the SHA-256 of the SHA-256 digests of its parts.
    """

    path: str
    added_in: int
    parts: int
    raw_bytes: int
    stored_bytes: int
    lines: int
    records: int
    missing_keys: int
    duplicates: int
    digest: str
    created_at: datetime


class UploadPart(Response, frozen=True, kw_only=True):
    """A part that an upload holds; `sha256` is that of its raw bytes."""

    part: int
    sha256: str
    raw_bytes: int
    lines: int
    records: int
    missing_keys: int
    duplicates: int


class UploadFile(Response, frozen=True, kw_only=True):
    """A file of an upload, with the parts that have arrived."""

    path: str
    parts: list[UploadPart]


class Upload(Response, frozen=True, kw_only=True):
    """An upload of files; `snapshot` is the one that its commit published."""

    id: UUID
    dataset: str
    mode: str
    snapshot: int | None
    part_bytes: int
    max_part_bytes: int
    created_at: datetime
    expires_at: datetime


class HeldUpload(Upload, frozen=True, kw_only=True):
    """An upload with the files that it holds."""

    files: list[UploadFile]


class Record(Response, frozen=True, kw_only=True):
    """A record: the exact bytes of its line, and the snapshot that was read.

    In a history and in the answer to many keys, it is the snapshot that added the record's file.
    """

    content: bytes
    snapshot: int

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Parse the record."""
        return json.loads(self.content)


class RecordDocument(Response, frozen=True, kw_only=True):
    """A record as the API sends many; both are None for a key that has none."""

    snapshot: int | None
    record: Raw


class BadLine(Response, frozen=True, kw_only=True):
    """A line that is not what the dataset's format or its schema requires, from line 1.

    `byte`, from 0, is None for what a schema refuses.
    """

    path: str
    line: int
    byte: int | None
    message: str


class Totals(Response, frozen=True, kw_only=True):
    """What a directory holds, as far as it was sent; `parts_sent` are those of this run."""

    files: int
    raw_bytes: int
    records: int
    missing_keys: int
    duplicates: int
    parts: int
    parts_sent: int


class Sent(Totals, frozen=True, kw_only=True):
    """Files that were published. `left_out` are paths that are not sent: hidden ones, and such."""

    dataset: str
    snapshot: Snapshot
    left_out: list[str]
