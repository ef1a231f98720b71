"""Define stored payloads, references to them, and the packages that own them."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType

from app.db import Connection
from app.settings import Settings


class StoredPayload(Struct, frozen=True, kw_only=True):
    """Bytes at rest: in a row (`body`) or in the blob store (`blob_key`).

    `media_type` None: it is not of bytes (`io`), but of JSON.
    """

    sha256: bytes
    size_bytes: int
    body: bytes | None
    blob_key: str | None
    media_type: str | None = None


class PayloadRef(Struct, frozen=True, kw_only=True):
    """A payload, identified by its SHA-256 (hexadecimal) and its size in bytes.

    Bytes that a script takes or returns as they are have a `media_type`; others are JSON.
    """

    sha256: str
    bytes: int
    media_type: str | UnsetType = UNSET


def reference_to(body: bytes, *, media_type: str | None = None) -> PayloadRef:
    """Return the reference to a payload in memory."""
    return PayloadRef(
        sha256=hashlib.sha256(body).hexdigest(),
        bytes=len(body),
        media_type=UNSET if media_type is None else media_type,
    )


class MaintenanceTask(StrEnum):
    """A periodic task that one worker at a time performs (`retention_duties.duty`)."""

    PAYLOADS = "payloads"
    BLOBS = "blobs"


class ExpiredBatch(Struct, frozen=True, kw_only=True):
    """The result of one expiry step; fewer `items` than its limit: nothing more is due."""

    items: int
    rows: int
    blob_keys: list[str]


class Expiry(Struct, frozen=True, kw_only=True):
    """A rule that erases or deletes what is older than a number of days.

    `days` reads the number from the settings; 0 turns the rule off. `expire_batch` takes a
    connection, the days and a limit, and runs one short transaction. `event` is the log event of
    a batch.
    """

    days: Callable[[Settings], int]
    expire_batch: Callable[[Connection, int, int], Awaitable[ExpiredBatch]]
    event: str


class PayloadOwner(Struct, frozen=True, kw_only=True):
    """A package whose rows reference blobs.

    `name` is the plural that log events count its items by. Blobs of an owner have keys
    `<tenant>/<folder>/<id>` with one of its `folders`, and only its own rows reference them:
    blobs in other folders are never deleted on its behalf. `select_referenced_keys` returns
    those of the given keys that a row references. The expiries run in order.
    """

    name: str
    folders: frozenset[str]
    select_referenced_keys: Callable[[Connection, Sequence[str]], Awaitable[set[str]]]
    expiries: tuple[Expiry, ...] = ()
