"""Define the entries of the audit log, which contain no secrets and no payloads."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.auth.model import AuthMethod


class Action(StrEnum):
    """A kind of change that is logged."""

    SCRIPT_CREATED = "script.created"
    SCRIPT_DESCRIBED = "script.described"
    SCRIPT_ARCHIVED = "script.archived"
    SCRIPT_RESTORED = "script.restored"
    VERSION_ADDED = "version.added"
    REPLAYS_CREATED = "replays.created"
    COMPARISON_CREATED = "comparison.created"
    ALIAS_MOVED = "alias.moved"
    ALIAS_REMOVED = "alias.removed"
    SCHEMA_CREATED = "schema.created"
    SCHEMA_DESCRIBED = "schema.described"
    SCHEMA_ARCHIVED = "schema.archived"
    SCHEMA_RESTORED = "schema.restored"
    TENANT_CREATED = "tenant.created"
    TENANT_CHANGED = "tenant.changed"
    TENANT_SUSPENDED = "tenant.suspended"
    TENANT_RESUMED = "tenant.resumed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    BATCH_CANCELLED = "batch.cancelled"
    EXECUTION_CANCELLED = "execution.cancelled"
    EXECUTION_ERASED = "execution.erased"
    DATASET_CREATED = "dataset.created"
    DATASET_CHANGED = "dataset.changed"
    DATASET_DELETED = "dataset.deleted"
    SNAPSHOT_PUBLISHED = "snapshot.published"
    SNAPSHOT_DELETED = "snapshot.deleted"
    UPLOAD_ABANDONED = "upload.abandoned"
    EXECUTION_REPLAYED = "execution.replayed"
    RUN_CANCELLED = "run.cancelled"
    RUN_REPLAYED = "run.replayed"
    EXPORT_CANCELLED = "export.cancelled"
    REDRIVE_CREATED = "redrive.created"
    REDRIVE_CANCELLED = "redrive.cancelled"
    PIPE_CREATED = "pipe.created"
    PIPE_CHANGED = "pipe.changed"
    PIPE_PAUSED = "pipe.paused"
    PIPE_RESUMED = "pipe.resumed"
    PIPE_DELETED = "pipe.deleted"
    LETTER_ERASED = "letter.erased"
    LETTERS_ERASED = "letters.erased"
    CALLBACK_RESENT = "callback.resent"
    CALLBACK_ENABLED = "callback.enabled"
    SECRET_CREATED = "secret.created"  # noqa: S105 - an action


class Entry(Struct, frozen=True, kw_only=True):
    """One change. `target` is the address of the changed resource, `tenant_id` its owner.

    `via` is how the caller was authenticated: with the key `key_id`, without a key on an open API,
    or by the operations command on the database itself. `address` is that of the connection, or
    the one that trusted proxies report (`CRIVO_TRUSTED_PROXIES`). `action` is text: a newer one,
    on the same database or before a downgrade, has logged actions that are not known here.
    """

    id: UUID
    created_at: datetime
    tenant_id: UUID
    via: AuthMethod
    key_id: UUID | None
    address: str | None
    request_id: str
    action: str
    target: str
    details: dict[str, Any]


class EntryFilter(Struct, frozen=True, kw_only=True):
    """Conditions on the entries of a list; None matches every entry."""

    tenant_id: UUID | None
    key_id: UUID | None
    action: Action | None
    target: str | None
    created_from: datetime | None
    created_before: datetime | None
