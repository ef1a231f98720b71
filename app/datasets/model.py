"""Define datasets, snapshots, files and uploads, and the bodies of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.datasets.parts import Format
from app.limits import MAX_FILE_PARTS, MAX_PATH_BYTES, MAX_RECORDS
from app.references import Description
from app.schemas.pinned import SchemaReference

KeyPointer = Annotated[str, Meta(max_length=500, pattern=r"^(/[^\x00]*)?$")]
Keep = Annotated[int, Meta(ge=1, le=36_500)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Mode(StrEnum):
    """What a commit does to the files that the dataset has."""

    APPEND = "append"
    REPLACE = "replace"


class PutDataset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /datasets/{dataset}`.

    `key` is a JSON pointer to the member of a record that is its key, such as `/pk`; null for a
    dataset without keys. `schema` names the schema that each record has to satisfy, such as
    `events@3`; a name alone or an alias is resolved now. The newest `keep_snapshots` snapshots are
    kept, and those of the last `keep_days` days; null is the installation's default. The newest
    snapshot always stays.
    """

    format: Format = Format.JSONL
    key: KeyPointer | None = None
    schema: SchemaReference | None = None
    description: Description = ""
    keep_snapshots: Keep | None = None
    keep_days: Keep | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """One immutable state of a dataset, with the totals of its files.

    `records` are the lines that are not blank; `missing_keys` are those without the key, which no
    key finds.
    """

    number: int
    mode: Mode
    files: int
    raw_bytes: int
    stored_bytes: int
    lines: int
    records: int
    missing_keys: int
    created_at: datetime


class Dataset(Struct, frozen=True, kw_only=True):
    """A dataset with its newest snapshot, null before the first.

    Each record satisfies `schema`, an exact version such as `events@3`, or null. `snapshot` is the
    one that a reference names.
    """

    id: UUID
    name: str
    format: Format
    key: str | None
    schema: str | None
    description: str
    keep_snapshots: int | None
    keep_days: int | None
    created_at: datetime
    updated_at: datetime
    latest_snapshot: Snapshot | None
    snapshot: Snapshot | UnsetType = UNSET


class File(Struct, frozen=True, kw_only=True):
    """A file of a snapshot. `added_in` is the first snapshot with this content.

    `missing_keys` are records without the key. `duplicates` are records with the key of a later
    one in the file, which wins; those in different parts count once their indexes are merged, a
    moment after the commit. `digest` is the SHA-256 of the SHA-256 digests of its parts.
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


class PublishedFile(Struct, frozen=True, kw_only=True):
    """Response to a file that became a snapshot."""

    dataset: str
    file: File
    snapshot: Snapshot


class CreateUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /datasets/{dataset}/uploads`.

    `append` keeps the dataset's files, except those with a path that the upload has, too;
    `replace` keeps none. An upload takes up to 20,000 files, with paths of 1536 KiB in all.
    """

    mode: Mode = Mode.APPEND


class UploadPart(Struct, frozen=True, kw_only=True):
    """A part that an upload holds; `sha256` is that of its raw bytes."""

    part: int
    sha256: str
    raw_bytes: int
    lines: int
    records: int
    missing_keys: int
    duplicates: int


class UploadFile(Struct, frozen=True, kw_only=True):
    """A file of an upload, with the parts that have arrived, in order."""

    path: str
    parts: list[UploadPart]


class Upload(Struct, frozen=True, kw_only=True):
    """An upload of files. `snapshot` is the one that its commit published, null while open.

    Parts should have `part_bytes` raw bytes; the end of a line can make one longer, up to
    `max_part_bytes`. An open upload that gets no part until `expires_at` is deleted.
    """

    id: UUID
    dataset: str
    mode: Mode
    snapshot: int | None
    part_bytes: int
    max_part_bytes: int
    created_at: datetime
    expires_at: datetime


class HeldUpload(Upload, frozen=True, kw_only=True):
    """An upload with the files that it holds."""

    files: list[UploadFile]


class CommitFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that a commit publishes, as its client has sent it.

    `digest` is the SHA-256 of the parts' SHA-256 digests (32 bytes each), in order.
    """

    path: Annotated[str, Meta(max_length=MAX_PATH_BYTES)]
    parts: Annotated[int, Meta(ge=1, le=MAX_FILE_PARTS)]
    digest: Sha256


class CommitUpload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /uploads/{upload}/commit`: all files of the upload, in order.

    Of two records with one key, that of the later file wins.
    """

    files: Annotated[list[CommitFile], Meta(min_length=1)]


class FindRecords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /datasets/{dataset}/records`: strings or numbers."""

    keys: Annotated[list[Raw], Meta(min_length=1, max_length=MAX_RECORDS)]
