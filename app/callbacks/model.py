"""Define callbacks, their attempts, and the secrets that sign them."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from app.batches.model import BatchStatus, ItemCounts
from app.executions.model import Receipt, Status
from app.exports.model import ExportProgress, ExportReceipt, ExportStatus
from app.runs.model import RunProgress, RunReceipt, RunStatus, SnapshotRef

# As many as sign at once: one more ends the oldest.
MAX_SECRETS: Final = 3
SECRET_BYTES: Final = 32
# One more enables the one that was disabled first.
MAX_DISABLED_URLS: Final = 1_000
# Older attempts of a callback are forgotten.
MAX_ATTEMPTS_KEPT: Final = 50
_PREFIX: Final = "whsec_"
_DAY_SECONDS: Final = 86_400
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class CallbackStatus(StrEnum):
    """The status of a callback; only a pending one is sent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt to deliver a callback; without a `status_code` there was no answer."""

    number: int
    started_at: datetime
    status_code: int | None


class Callback(Struct, frozen=True, kw_only=True):
    """A callback: `id` is its `webhook-id`, the same in every attempt.

    `attempts` are the last fifty. An attempt whose API process was killed is missing there, and
    its number with it. `pending`: the next attempt is at `next_attempt_at`; `delivered`: answered
    with 2xx; `failed`: all attempts failed; `disabled`: its receiver is gone, and has answered 410.
    """

    id: UUID
    url: str
    status: CallbackStatus
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: Sequence[Attempt]


class EndedExecution(Struct, frozen=True, kw_only=True):
    """The data of an execution's callback, without input, result and logs."""

    id: UUID
    status: Status
    url: str
    receipt: Receipt


class EndedBatch(Struct, frozen=True, kw_only=True):
    """The data of a batch's callback; its results are at `results_url`."""

    id: UUID
    status: BatchStatus
    url: str
    results_url: str
    items: int
    counts: ItemCounts


class EndedRun(Struct, frozen=True, kw_only=True):
    """The data of a run's callback, without its result, which `GET {url}/result` returns."""

    id: UUID
    status: RunStatus
    url: str
    published: SnapshotRef | None
    progress: RunProgress
    receipt: RunReceipt


class EndedExport(Struct, frozen=True, kw_only=True):
    """The data of an export's callback; `GET {url}/manifest` lists its files."""

    id: UUID
    status: ExportStatus
    url: str
    input: SnapshotRef
    progress: ExportProgress
    rows_in: int
    duplicates: int
    rows_failed: int
    rows_out: int | None
    files: int | None
    bytes: int | None
    receipt: ExportReceipt


class Message(Struct, frozen=True, kw_only=True):
    """The body of a callback, in the form of Standard Webhooks."""

    type: str
    timestamp: datetime
    data: Struct


class CreateSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /callbacks/secrets`: for how long the previous secret still signs."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=7 * _DAY_SECONDS)] = _DAY_SECONDS


class Secret(Struct, frozen=True, kw_only=True):
    """A secret without its text; it signs until `expires_at`, the newest without end."""

    id: UUID
    created_at: datetime
    expires_at: datetime | None


class CreatedSecret(Secret, frozen=True, kw_only=True):
    """A new secret: `secret` is what a receiver verifies with, and is shown this once."""

    secret: str


class DisabledUrl(Struct, frozen=True, kw_only=True):
    """A URL that gets no callbacks, because it has answered one with 410."""

    id: UUID
    url: str
    disabled_at: datetime


def secret_text(secret: bytes) -> str:
    """Return a secret as Standard Webhooks writes it."""
    return f"{_PREFIX}{base64.b64encode(secret).decode()}"


def parse_id(text: str) -> UUID | None:
    """Parse a UUID with or without hyphens; None for any other text."""
    return UUID(text) if _ID.fullmatch(text) else None
