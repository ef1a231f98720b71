"""Datasets: immutable snapshots of files, stored as parts, and uploads that publish them.

Files and parts belong to an upload until it is committed. From then on a file is in every snapshot
from `added_in` up to `removed_in`: a commit writes few rows, however much the dataset has.

A downgrade deletes rows only. The blobs stay in `<tenant>/datasets/` and `<tenant>/indexes/`, which
an older release does not clean up; entries of the audit log stay as well.
"""

from pathlib import Path

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    CREATE TABLE datasets (
        id             uuid        PRIMARY KEY,
        tenant_id      uuid        NOT NULL REFERENCES tenants,
        name           text        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
        format         text        NOT NULL CHECK (format IN ('jsonl', 'text', 'csv', 'bytes')),
        key            text        CHECK (key IS NULL OR format = 'jsonl'),
        hash_seed      bigint      NOT NULL CHECK (hash_seed >= 0),
        description    text        NOT NULL DEFAULT '',
        keep_snapshots integer     CHECK (keep_snapshots > 0),
        keep_days      integer     CHECK (keep_days > 0),
        last_snapshot  integer     NOT NULL DEFAULT 0 CHECK (last_snapshot >= 0),
        next_sequence  bigint      NOT NULL DEFAULT 0 CHECK (next_sequence <= 4294967296),
        revision       bigint      NOT NULL DEFAULT 0,
        unmerged       integer     NOT NULL DEFAULT 0 CHECK (unmerged >= 0),
        merging_until  timestamptz,
        created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT datasets_name_key UNIQUE (tenant_id, name)
    )
    """,
    "CREATE INDEX datasets_unmerged_idx ON datasets (id) WHERE unmerged > 1",
    """
    CREATE TABLE dataset_snapshots (
        dataset_id   uuid        NOT NULL REFERENCES datasets,
        number       integer     NOT NULL CHECK (number > 0),
        tenant_id    uuid        NOT NULL REFERENCES tenants,
        mode         text        NOT NULL CHECK (mode IN ('append', 'replace')),
        files        integer     NOT NULL CHECK (files >= 0),
        raw_bytes    bigint      NOT NULL CHECK (raw_bytes >= 0),
        stored_bytes bigint      NOT NULL CHECK (stored_bytes >= 0),
        lines        bigint      NOT NULL CHECK (lines >= 0),
        records      bigint      NOT NULL CHECK (records >= 0),
        missing_keys bigint      NOT NULL CHECK (missing_keys >= 0),
        created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (dataset_id, number)
    )
    """,
    """
    CREATE TABLE dataset_uploads (
        id         uuid        PRIMARY KEY,
        tenant_id  uuid        NOT NULL REFERENCES tenants,
        dataset_id uuid        NOT NULL REFERENCES datasets,
        mode       text        NOT NULL CHECK (mode IN ('append', 'replace')),
        snapshot   integer,
        files      integer     NOT NULL DEFAULT 0 CHECK (files >= 0),
        path_bytes integer     NOT NULL DEFAULT 0 CHECK (path_bytes >= 0),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX dataset_uploads_dataset_idx ON dataset_uploads (dataset_id)",
    """
    CREATE INDEX dataset_uploads_open_idx ON dataset_uploads (tenant_id) WHERE snapshot IS NULL
    """,
    "CREATE INDEX dataset_uploads_expiry_idx ON dataset_uploads (expires_at)",
    """
    CREATE TABLE dataset_files (
        id           uuid    PRIMARY KEY,
        tenant_id    uuid    NOT NULL REFERENCES tenants,
        dataset_id   uuid    NOT NULL REFERENCES datasets,
        upload_id    uuid    NOT NULL,
        path         text    COLLATE "C" NOT NULL
                             CHECK (octet_length(path) BETWEEN 1 AND 1024),
        added_in     integer,
        removed_in   integer CHECK (removed_in > added_in),
        position     integer,
        digest       bytea   CHECK (octet_length(digest) = 32),
        parts        integer,
        raw_bytes    bigint,
        stored_bytes bigint,
        lines        bigint,
        records      bigint,
        missing_keys bigint,
        duplicates   bigint,
        created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT dataset_files_upload_key UNIQUE (upload_id, path),
        CONSTRAINT dataset_files_published_check CHECK (
            num_nulls(added_in, position, digest, parts, raw_bytes, stored_bytes, lines, records,
                      missing_keys, duplicates) IN (0, 10)
        )
    )
    """,
    # A path names one file of a snapshot.
    """
    CREATE UNIQUE INDEX dataset_files_current_idx ON dataset_files (dataset_id, path)
    WHERE added_in IS NOT NULL AND removed_in IS NULL
    """,
    """
    CREATE INDEX dataset_files_path_idx ON dataset_files (dataset_id, path, added_in)
    WHERE added_in IS NOT NULL
    """,
    # What a snapshot has added and removed: catalogs, totals and retention read no more.
    """
    CREATE INDEX dataset_files_added_idx ON dataset_files (dataset_id, added_in, position)
    WHERE added_in IS NOT NULL
    """,
    """
    CREATE INDEX dataset_files_removed_idx ON dataset_files (dataset_id, removed_in, id)
    WHERE removed_in IS NOT NULL
    """,
    """
    CREATE TABLE dataset_parts (
        file_id      uuid    NOT NULL REFERENCES dataset_files,
        number       integer NOT NULL CHECK (number > 0),
        tenant_id    uuid    NOT NULL REFERENCES tenants,
        dataset_id   uuid,
        sequence     bigint,
        first_byte   bigint,
        first_line   bigint,
        sha256       bytea   NOT NULL CHECK (octet_length(sha256) = 32),
        raw_bytes    bigint  NOT NULL CHECK (raw_bytes >= 0),
        stored_bytes bigint  NOT NULL CHECK (stored_bytes >= 0),
        index_bytes  bigint  NOT NULL CHECK (index_bytes >= 0),
        lines        bigint  NOT NULL CHECK (lines >= 0),
        records      bigint  NOT NULL CHECK (records >= 0),
        missing_keys bigint  NOT NULL CHECK (missing_keys >= 0),
        duplicates   bigint  NOT NULL CHECK (duplicates >= 0),
        ends_line    boolean NOT NULL,
        blob_key     text    NOT NULL,
        index_key    text,
        PRIMARY KEY (file_id, number),
        CONSTRAINT dataset_parts_published_check CHECK (
            num_nulls(dataset_id, sequence, first_byte, first_line) IN (0, 4)
        )
    )
    """,
    """
    CREATE UNIQUE INDEX dataset_parts_sequence_idx ON dataset_parts (dataset_id, sequence)
    WHERE dataset_id IS NOT NULL
    """,
    """
    CREATE INDEX dataset_parts_unmerged_idx ON dataset_parts (dataset_id, sequence)
    WHERE dataset_id IS NOT NULL AND index_key IS NOT NULL
    """,
    """
    CREATE INDEX dataset_parts_byte_idx ON dataset_parts (file_id, first_byte, number)
    WHERE first_byte IS NOT NULL
    """,
    "CREATE INDEX dataset_parts_blob_idx ON dataset_parts (blob_key)",
    """
    CREATE INDEX dataset_parts_index_idx ON dataset_parts (index_key)
    WHERE index_key IS NOT NULL
    """,
    """
    CREATE TABLE dataset_segments (
        blob_key       text   PRIMARY KEY,
        tenant_id      uuid   NOT NULL REFERENCES tenants,
        dataset_id     uuid   NOT NULL REFERENCES datasets,
        first_sequence bigint NOT NULL,
        last_sequence  bigint NOT NULL,
        entries        bigint NOT NULL CHECK (entries >= 0),
        stored_bytes   bigint NOT NULL CHECK (stored_bytes >= 0),
        created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT dataset_segments_range_check CHECK (first_sequence <= last_sequence)
    )
    """,
    """
    CREATE UNIQUE INDEX dataset_segments_range_idx
    ON dataset_segments (dataset_id, first_sequence)
    """,
)

_TABLES = {
    "datasets": "named collections of files; their content is that of snapshots",
    "dataset_snapshots": "immutable states of datasets, with their totals",
    "dataset_uploads": "uploads: open until committed, deleted when they expire",
    "dataset_files": "files of uploads and snapshots; immutable once published",
    "dataset_parts": "parts of files: whole lines, stored as one blob each",
    "dataset_segments": "merged key indexes of datasets, each of a range of parts",
}

_COLUMNS = {
    "datasets.key": "JSON pointer to the member of a record that is its key",
    "datasets.hash_seed": "secret seed of the hashes of keys; indexes are unreadable without it",
    "datasets.revision": "changes with every commit, merge and deletion; caches compare it",
    "datasets.unmerged": "published parts whose index is still an object of its own",
    "datasets.merging_until": "until when a worker has claimed the merging of indexes",
    "dataset_uploads.snapshot": "the snapshot that the commit published; NULL while open",
    "dataset_uploads.files": "files that it has received, which one commit must be able to name",
    "dataset_files.added_in": "the first snapshot with the file; NULL until published",
    "dataset_files.removed_in": "the first later snapshot without the file; NULL: none",
    "dataset_files.digest": "SHA-256 of the SHA-256 digests of the parts, in their order",
    "dataset_parts.dataset_id": "the dataset of the file; NULL until published",
    "dataset_parts.sequence": "order of the parts of a dataset; of two records, the later wins",
    "dataset_parts.sha256": "digest of the raw bytes",
    "dataset_parts.index_key": "the blob of the part's own index, until it is merged",
}

# Of the column, in this release and in the one before.
_DAY_BYTES = "bytes of inputs and of parts of datasets that were accepted on `day`, in UTC"
_DAY_BYTES_BEFORE = "input bytes accepted on `day`, in UTC"

_SCOPES = "'read', 'scripts:write', 'executions:write'"


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")
    op.execute(f"COMMENT ON COLUMN tenant_usage.day_bytes IS '{_DAY_BYTES}'")
    for name in ("count_dataset_bytes", "quota_against_part_v1"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    op.execute("""
        CREATE TRIGGER dataset_parts_insert_counts
        AFTER INSERT ON dataset_parts REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION count_dataset_bytes()
    """)
    op.execute("""
        CREATE TRIGGER dataset_parts_delete_counts
        AFTER DELETE ON dataset_parts REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION count_dataset_bytes()
    """)
    _allow_scopes(f"{_SCOPES}, 'datasets:write', 'admin'")


def downgrade() -> None:
    # A key that could only write datasets can do nothing.
    op.execute("""
        UPDATE api_keys
        SET scopes = CASE WHEN scopes = '{datasets\\:write}' THEN '{read}'
                          ELSE array_remove(scopes, 'datasets\\:write') END,
            revoked_at = CASE WHEN scopes = '{datasets\\:write}'
                              THEN coalesce(revoked_at, clock_timestamp()) ELSE revoked_at END
        WHERE 'datasets\\:write' = ANY (scopes)
    """)
    _allow_scopes(f"{_SCOPES}, 'admin'")
    op.execute(f"COMMENT ON COLUMN tenant_usage.day_bytes IS '{_DAY_BYTES_BEFORE}'")
    # What the parts counted for quotas goes with them.
    op.execute("DELETE FROM dataset_parts")
    for table in (
        "dataset_segments",
        "dataset_parts",
        "dataset_files",
        "dataset_uploads",
        "dataset_snapshots",
        "datasets",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION count_dataset_bytes()")
    op.execute("DROP FUNCTION quota_against_part_v1(uuid, bigint, bigint, bigint, bigint)")


def _allow_scopes(scopes: str) -> None:
    escaped = scopes.replace(":", "\\:")
    op.execute("ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check")
    op.execute(f"""
        ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_check
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY[{escaped}])
    """)
