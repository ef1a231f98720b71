"""Declare the limits of scripts, executions, payloads and requests.

Each limit is declared here once: settings, request structs, the OpenAPI document and SQL take it
from here, and a test holds the database's CHECK constraints to it. Defaults that an operator can
change are in `app/settings.py`.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# Bounds that no setting lifts (docs/scripts.md, "Limits").
MAX_WALL_MS: Final = 300_000
MIN_MEMORY_BYTES: Final = 16 * MIB
MAX_MEMORY_BYTES: Final = 4 * GIB
MAX_PAYLOAD_BYTES: Final = 256 * MIB
# The default; CRIVO_MAX_BATCH_BYTES changes it.
MAX_BATCH_BYTES: Final = 256 * MIB

# The ids of a batch's items hold their lines in 24 bits.
MAX_BATCH_ITEMS: Final = 1_000_000

# Larger payloads go to the blob store, and larger results are not shown inline.
MAX_INLINE_BYTES: Final = 1 * MIB
MAX_ENVELOPE_BYTES: Final = 16 * MIB
MAX_PARAMS_BYTES: Final = 64 * KIB
MAX_SOURCE_BYTES: Final = 1 * MIB
# JSON can need six bytes for one byte of a source (`\\u0000`), and has other members.
MAX_UPLOAD_BYTES: Final = 6 * MAX_SOURCE_BYTES + 64 * KIB
MAX_SAMPLE_OUTPUT_BYTES: Final = 1 * MIB
# A schema is JSON inside of a JSON document, so it needs no more bytes than it has.
MAX_SCHEMA_BYTES: Final = 1 * MIB
MAX_SCHEMA_BODY_BYTES: Final = MAX_SCHEMA_BYTES + 64 * KIB
# Lines of one request to be validated.
MAX_VALIDATED_BYTES: Final = 64 * MIB
# Of a schema and all that it refers to, however indirectly.
MAX_CLOSURE_BYTES: Final = 8 * MIB
MAX_CLOSURE_DOCUMENTS: Final = 100
# A JSON body that holds settings or names, no data and no source.
MAX_SMALL_BODY_BYTES: Final = 64 * KIB
# One that also holds params and labels.
MAX_RUN_BODY_BYTES: Final = 256 * KIB
# One with a thousand columns with names and pointers. Lists and events repeat it.
MAX_EXPORT_BODY_BYTES: Final = 256 * KIB

MAX_LABELS: Final = 16
# 16 of the longest labels have about 4,200 characters; JSON can need twelve bytes for each.
MAX_LABELS_BYTES: Final = 64 * KIB
MAX_LABEL_VALUE_CHARACTERS: Final = 200
# Priorities order the executions of one tenant; they never rank one tenant above another.
MIN_PRIORITY: Final = -10
MAX_PRIORITY: Final = 10
# JavaScript represents every integer up to this one exactly.
MAX_SEED: Final = 2**53 - 1
# Queue positions are counted up to this value.
MAX_QUEUE_POSITION: Final = 1_000

# Clients cut files of datasets into parts of whole lines, so a part can be a line longer.
PART_BYTES: Final = 8 * MIB
MAX_LINE_BYTES: Final = 16 * MIB
# Of a request with events of a pipe.
MAX_EVENTS_BYTES: Final = 16 * MIB
# Of all events that wait in the inboxes of a tenant, by default.
MAX_INBOX_BYTES: Final = 256 * MIB
# Of all streams in Redis that the pipes of a tenant write, by default: several tenants fit into the
# memory that Redis has in compose.yaml.
MAX_STREAMS_BYTES: Final = 128 * MIB
# A stream counts at least as much, so that all of a tenant are read and measured in milliseconds.
MIN_COUNTED_STREAM_BYTES: Final = 16 * KIB
# Of the errors by a schema in an error document.
MAX_SCHEMA_ERRORS_BYTES: Final = 8 * KIB
MAX_PART_BYTES: Final = PART_BYTES + MAX_LINE_BYTES
# A part counts at least as much as stored; migrations/sql/count_dataset_bytes.sql says so, too.
MIN_COUNTED_PART_BYTES: Final = 4 * KIB
MAX_FILE_PARTS: Final = 131_072
MAX_FILE_BYTES: Final = MAX_FILE_PARTS * PART_BYTES
MAX_PATH_BYTES: Final = 1_024
# Of each tenant, at one API process: each holds part of its data in memory while it arrives.
MAX_PARTS_AT_ONCE: Final = 16
# Levels of arrays and objects in a record: fewer than any stack of the interpreter has left.
MAX_NESTING: Final = 500
# Records of a part that have a key; 8 MiB of them have at least 4 bytes each.
MAX_KEYS_OF_A_PART: Final = 2 * 1_024 * 1_024
# What one commit can name, with 150 bytes of JSON for each file, and three for a byte of its path.
MAX_UPLOAD_FILES: Final = 20_000
MAX_UPLOAD_PATH_BYTES: Final = 1_536 * KIB
MAX_COMMIT_BYTES: Final = 8 * MIB
# Of each tenant, at one API process: each holds a MiB or two while its client reads.
MAX_DOWNLOADS: Final = 32
# Records of one response, and keys of one request.
MAX_RECORDS: Final = 1_000
# Of each tenant, at one API process: each holds a record of up to `MAX_LINE_BYTES`.
MAX_RECORD_STREAMS: Final = 8

# A statement about all tasks or files of an export takes seconds, if they are very many.
EXPORT_STATEMENT_SECONDS: Final = 300.0

# Raw bytes of an export that one task takes; more are read by several, of so many each.
MAX_WHOLE_EXPORT_BYTES: Final = 8 * GIB
# Bytes of files of an earlier export that one task continues; it may have to read all of them.
MAX_CONTINUED_EXPORT_BYTES: Final = 16 * GIB
EXPORT_TASK_BYTES: Final = 256 * MIB
# Raw bytes whose rows one task compares by key, and the most tasks that do.
EXPORT_BUCKET_BYTES: Final = 1 * GIB
MAX_EXPORT_BUCKETS: Final = 256
# The bytes of a record that an error shows.
EXCERPT_BYTES: Final = 1 * KIB
# Of the bad rows that one task of an export reports, records, paths and pointers included.
MAX_EXPORT_BAD_ROWS_BYTES: Final = 16 * MIB
# What a task reports: files and partitions with their folders, columns, and bad rows.
MAX_EXPORT_REPORT_BYTES: Final = 256 * MIB
# A task may write this much to the disk, and more the more it reads.
MIN_EXPORT_ROOM_BYTES: Final = 4 * GIB
# What it leaves free for PostgreSQL, the blob store and parts that are uploaded, at most.
MAX_DISK_RESERVE_BYTES: Final = 4 * GIB
# Of one thread of a task: buffers of lines, copies of their values, and of a file.
EXPORT_THREAD_BYTES: Final = 128 * MIB
# Columns of an export, and the bytes of their names: as many with 128 characters each.
MAX_EXPORT_COLUMNS: Final = 1_000
MAX_EXPORT_NAMES_BYTES: Final = 512_000
# Levels of the folders of an export.
MAX_EXPORT_LEVELS: Final = 8
# Partitions that an export writes: each is a file, which takes some milliseconds.
MAX_EXPORT_PARTITIONS: Final = 10_000
# Of a key of a bucket, as S3 and those like it have it.
MAX_KEY_BYTES: Final = 1_024
# Partitions that an export lists; its files are listed in pages.
MAX_LISTED_PARTITIONS: Final = 1_000
# How long an export waits for a destination that does not answer.
MAX_DESTINATION_WAIT_HOURS: Final = 24
# How long one call of a mounted destination may take: it reads or writes a MiB, or synchronizes
# what was written of a file since the last.
DESTINATION_CALL_SECONDS: Final = 60.0
# Calls of a tenant's folder that have not come back: with so many no others are begun.
MAX_HANGING_CALLS: Final = 8
# What is synchronized at once.
DESTINATION_SYNC_BYTES: Final = 64 * MIB
# What others could have written to a destination is read up to here: `_SUCCESS`, which has 200
# bytes, and all documents in `_crivo`, of which each has up to some hundred bytes for a file.
MAX_SUCCESS_BYTES: Final = 4 * KIB
MAX_DESTINATION_DOCUMENTS: Final = 10_000
MAX_DESTINATION_DOCUMENTS_BYTES: Final = 512 * MIB
# Files that all of them name: a publication deletes some 2,000 in a second, and holds a slot.
MAX_DESTINATION_PATHS: Final = 300_000

# A worker counts as gone when its last heartbeat is older: several may come late.
WORKER_TIMEOUT_SECONDS: Final = 15.0

WallMs = Annotated[int, Meta(ge=1, le=MAX_WALL_MS)]
CpuMs = Annotated[int, Meta(ge=1, le=MAX_WALL_MS)]
MemoryBytes = Annotated[int, Meta(ge=MIN_MEMORY_BYTES, le=MAX_MEMORY_BYTES)]
OutputBytes = Annotated[int, Meta(ge=1, le=MAX_PAYLOAD_BYTES)]
InputBytes = Annotated[int, Meta(ge=1, le=MAX_PAYLOAD_BYTES)]
BatchItems = Annotated[int, Meta(ge=1, le=MAX_BATCH_ITEMS)]
BatchBytes = Annotated[int, Meta(ge=1, le=64 * GIB)]
Priority = Annotated[int, Meta(ge=MIN_PRIORITY, le=MAX_PRIORITY)]
Seed = Annotated[int, Meta(ge=0, le=MAX_SEED)]


class LimitChoice(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Chosen limits. An omitted one is the script version's, else the installation's default."""

    wall_ms: WallMs | None = None
    max_cpu_ms: CpuMs | None = None
    memory_bytes: MemoryBytes | None = None
    max_output_bytes: OutputBytes | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """The limits in force for one run."""

    wall_ms: int
    max_cpu_ms: int
    memory_bytes: int
    max_output_bytes: int


class LimitPolicy(Struct, frozen=True, kw_only=True):
    """An installation's default limits, and the highest that a client can choose.

    The default CPU limit is the wall limit, which one thread cannot exceed; the default output
    limit is the highest.
    """

    default_wall_ms: int
    default_memory_bytes: int
    ceilings: Limits


# The columns of `executions` and `script_versions`, the members of requests and receipts.
LIMIT_NAMES: Final = Limits.__struct_fields__
