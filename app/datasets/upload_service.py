"""Begin uploads, receive their parts, and abandon them."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.allocator import trim_later
from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import deletion_store, store, upload_store
from app.datasets.blob_cleanup import delete_blobs, new_index_key, new_part_key
from app.datasets.model import CreateUpload, Upload, UploadPart
from app.datasets.parts import (
    BadLine,
    CollidingKeys,
    HashSeed,
    LineTooSlow,
    PartTooLarge,
    StoredPart,
    parse_pointer,
    store_part,
)
from app.datasets.problems import (
    FileNotInSnapshot,
    LongLineTooSlow,
    PartDiffers,
    PartOverLimit,
    UnusableKeys,
    UploadCommitted,
    UploadFull,
    dataset_not_found,
    invalid_part,
    upload_not_found,
)
from app.datasets.quota_store import require_room_for_upload
from app.datasets.record_checks import require_valid_records
from app.datasets.upload_store import PartKeys, StoredUpload
from app.db import Connection
from app.errors import clipped
from app.idempotency.model import RequestKey, key_for
from app.idempotency.store import remember, require_new
from app.limits import (
    MAX_PART_BYTES,
    MAX_UPLOAD_FILES,
    MAX_UPLOAD_PATH_BYTES,
    MIN_COUNTED_PART_BYTES,
    PART_BYTES,
)
from app.metrics import DATASET_BYTES, DATASET_PARTS
from app.outages import DatabaseUnavailable
from app.pagination import Page, Paginator
from app.quotas.model import effective_caps
from app.quotas.turns import TenantTurns
from app.resources import Resources


async def begin(
    resources: Resources,
    caller: Caller,
    dataset: str,
    wanted: CreateUpload,
    key: RequestKey | None = None,
    *,
    hours: int | None = None,
) -> StoredUpload:
    """Begin an upload, which expires in `hours`; by default in those of the settings.

    Raises DatasetNotFound, QuotaExceeded, Repeated, IdempotencyKeyReused, RequestInProgress.
    """
    upload_id = uuid.uuid7()
    request_key = key_for(key, wanted)
    settings = resources.settings
    async with resources.pool.acquire() as conn, conn.transaction():
        await require_new(conn, caller.tenant, request_key)
        began = await upload_store.insert_upload(
            conn,
            caller.tenant,
            upload_id,
            dataset=dataset,
            mode=wanted.mode,
            hours=hours or settings.upload_hours,
        )
        if not began:
            raise dataset_not_found(dataset)
        await require_room_for_upload(conn, caller.tenant, limit=settings.max_open_uploads)
        await remember(
            conn, caller.tenant, request_key, str(upload_id), hours=settings.idempotency_hours
        )
        upload = await upload_store.select_upload(conn, caller.tenant, upload_id)
        await reauthorize_before_commit(caller)
    assert upload is not None  # noqa: S101 - this transaction has inserted it
    return upload


async def find(resources: Resources, tenant: UUID, upload_id: UUID) -> StoredUpload:
    """Return an upload. Raises UploadNotFound."""
    async with resources.pool.acquire() as conn:
        upload = await upload_store.select_upload(conn, tenant, upload_id)
    if upload is None:
        raise upload_not_found(upload_id)
    return upload


async def list_open(
    resources: Resources, tenant: UUID, dataset: str, *, cursor: str | None, limit: int
) -> Page[Upload]:
    """List the open uploads of a dataset, newest first. Raises DatasetNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        found = await store.select_dataset(conn, tenant, dataset)
        if found is None:
            raise dataset_not_found(dataset)
        paginator = Paginator("uploads", found.id)
        rows = await upload_store.select_open_uploads(
            conn, tenant, found.id, below=paginator.below(cursor), limit=limit + 1
        )
    return paginator.page([describe(row) for row in rows], [row.id for row in rows], limit=limit)


def describe(upload: StoredUpload) -> Upload:
    """Return an upload as clients see it, without its files."""
    return Upload(
        id=upload.id,
        dataset=upload.dataset,
        mode=upload.mode,
        snapshot=upload.snapshot,
        part_bytes=PART_BYTES,
        max_part_bytes=MAX_PART_BYTES,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )


class Part(Struct, frozen=True, kw_only=True):
    """A part to receive: which one, and its bytes, whose size a client may announce."""

    path: str
    number: int
    data: AsyncIterator[bytes]
    announced_bytes: int = 0


async def receive_part(
    resources: Resources, caller: Caller, upload_id: UUID, part: Part, *, turns: TenantTurns
) -> tuple[UploadPart, bool]:
    """Store a part of an upload, when it has a turn; return whether it is new to the upload.

    Raises UploadNotFound, UploadCommitted, UploadFull, PartDiffers, InvalidPart, QuotaExceeded,
    what `require_valid_records` and what the part's data raises.
    """
    upload = await find_open(resources, caller, upload_id, announced_bytes=part.announced_bytes)
    stored, is_new = await keep_part(resources, caller, upload, part, turns=turns)
    described = UploadPart(
        part=part.number,
        sha256=stored.sha256.hex(),
        raw_bytes=stored.raw_bytes,
        lines=stored.lines,
        records=stored.records,
        missing_keys=stored.missing_keys,
        duplicates=stored.duplicates,
    )
    return described, is_new


async def find_open(
    resources: Resources, caller: Caller, upload_id: UUID, *, announced_bytes: int
) -> StoredUpload:
    """Return an open upload with room for the announced bytes, before they are received.

    Raises UploadNotFound, UploadCommitted, QuotaExceeded.
    """
    caps = effective_caps(resources.settings, caller.caps)
    async with resources.pool.acquire() as conn:
        upload = await upload_store.select_upload(conn, caller.tenant, upload_id)
        _require_open(upload_id, upload)
        # How well they compress is not known yet.
        await upload_store.require_room(
            conn,
            caller.tenant,
            caps,
            stored_bytes=MIN_COUNTED_PART_BYTES,
            raw_bytes=announced_bytes,
        )
    assert upload is not None  # noqa: S101 - it is open
    return upload


async def keep_part(
    resources: Resources,
    caller: Caller,
    upload: StoredUpload,
    part: Part,
    *,
    turns: TenantTurns,
    hours: int | None = None,
) -> tuple[StoredPart, bool]:
    """Write a part to the blob store, then add it to its upload; return whether it is new.

    It is read when the tenant has one of the `turns`: each part takes memory while it arrives.

    The upload then expires in `hours`, by default in those of the settings.
    Raises what receive_part raises.
    """
    keys = PartKeys(blob=new_part_key(caller.tenant), index=new_index_key(caller.tenant))
    try:
        async with turns.turn(caller.tenant):
            stored = await store_part(
                part.data,
                format=upload.format,
                key=None if upload.key is None else parse_pointer(upload.key),
                seed=HashSeed.of(upload.hash_seed),
                blobs=resources.blobs,
                part_key=keys.blob,
                index_key=keys.index,
            )
        if upload.record_schema is not None:
            await require_valid_records(resources, caller, stored, keys.blob, upload.record_schema)
        is_new = await _add_part(resources, caller, upload, part, stored, keys, hours)
    except BadLine as error:
        DATASET_PARTS.labels("refused").inc()
        raise invalid_part(error.line, error.byte, error.message) from None
    except PartTooLarge as error:
        raise PartOverLimit(str(error)) from None
    except CollidingKeys as error:
        raise UnusableKeys(str(error)) from None
    except LineTooSlow as error:
        raise LongLineTooSlow(str(error)) from None
    except (DatabaseUnavailable, asyncio.CancelledError):
        # The part may be committed. If it is not, retention deletes its blobs.
        raise
    except BaseException:
        await delete_blobs(resources.blobs, [keys.blob, keys.index])
        raise
    trim_later(stored.raw_bytes)
    DATASET_PARTS.labels("stored" if is_new else "repeated").inc()
    if is_new:
        DATASET_BYTES.labels("raw").inc(stored.raw_bytes)
        DATASET_BYTES.labels("stored").inc(stored.stored_bytes + stored.index_bytes)
    else:
        await delete_blobs(resources.blobs, [keys.blob, keys.index])
    return stored, is_new


async def remove_file(resources: Resources, caller: Caller, upload_id: UUID, path: str) -> None:
    """Drop a file that an open upload holds, for a client that sends it anew.

    Raises UploadNotFound, UploadCommitted, FileNotInSnapshot.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        upload = await upload_store.lock_upload(conn, caller.tenant, upload_id)
        _require_open(upload_id, upload)
        blob_keys = await deletion_store.delete_held_file(conn, caller.tenant, upload_id, path)
        if blob_keys is not None:
            await upload_store.count_file(conn, caller.tenant, upload_id, path, change=-1)
        await reauthorize_before_commit(caller)
    if blob_keys is None:
        raise FileNotInSnapshot(f"the upload holds no file {clipped(path)!r}")
    await delete_blobs(resources.blobs, blob_keys)


async def abandon(resources: Resources, caller: Caller, upload_id: UUID) -> None:
    """Delete an open upload with what it holds. Raises UploadNotFound, UploadCommitted."""
    async with resources.pool.acquire() as conn, conn.transaction():
        upload = await upload_store.lock_upload(conn, caller.tenant, upload_id)
        _require_open(upload_id, upload)
        blob_keys = await deletion_store.delete_upload(conn, caller.tenant, upload_id)
        await log_action(conn, caller, Action.UPLOAD_ABANDONED, f"/uploads/{upload_id}")
        await reauthorize_before_commit(caller)
    await delete_blobs(resources.blobs, blob_keys)


async def discard(resources: Resources, caller: Caller, upload_id: UUID) -> None:
    """Delete an open upload that its client has never seen; nothing is logged."""
    async with resources.pool.acquire() as conn, conn.transaction():
        upload = await upload_store.lock_upload(conn, caller.tenant, upload_id)
        _require_open(upload_id, upload)
        blob_keys = await deletion_store.delete_upload(conn, caller.tenant, upload_id)
    await delete_blobs(resources.blobs, blob_keys)


async def _add_part(
    resources: Resources,
    caller: Caller,
    upload: StoredUpload,
    part: Part,
    stored: StoredPart,
    keys: PartKeys,
    hours: int | None,
) -> bool:
    caps = effective_caps(resources.settings, caller.caps)
    async with resources.pool.acquire() as conn, conn.transaction():
        _require_open(upload.id, await upload_store.lock_upload(conn, caller.tenant, upload.id))
        file_id, is_new_file = await upload_store.ensure_file(
            conn, caller.tenant, upload, path=part.path, new_id=uuid.uuid7()
        )
        if is_new_file:
            await _require_room_for_file(conn, caller.tenant, upload.id, part.path)
        held = await upload_store.select_part_digest(conn, caller.tenant, file_id, part.number)
        if held is None:
            await upload_store.require_room(
                conn,
                caller.tenant,
                caps,
                stored_bytes=upload_store.counted_bytes([stored]),
                raw_bytes=stored.raw_bytes,
            )
            await upload_store.insert_part(
                conn, caller.tenant, file_id, number=part.number, part=stored, keys=keys
            )
        elif held != stored.sha256:
            raise PartDiffers(
                f"the upload holds part {part.number} of {clipped(part.path)!r} with the SHA-256 "
                f"{held.hex()}, and this one has {stored.sha256.hex()}; "
                f"DELETE /uploads/{upload.id}/files/<path> drops the file"
            )
        await upload_store.extend_upload(
            conn, caller.tenant, upload.id, hours=hours or resources.settings.upload_hours
        )
        await reauthorize_before_commit(caller)
    return held is None


async def _require_room_for_file(
    conn: Connection, tenant: UUID, upload_id: UUID, path: str
) -> None:
    """Count a file that was added. Raises UploadFull."""
    held = await upload_store.count_file(conn, tenant, upload_id, path, change=1)
    if held.files > MAX_UPLOAD_FILES or held.path_bytes > MAX_UPLOAD_PATH_BYTES:
        raise UploadFull(
            f"an upload takes up to {MAX_UPLOAD_FILES} files, with paths of up to "
            f"{MAX_UPLOAD_PATH_BYTES} bytes in all, as many as one commit can name; commit it, "
            "and send the others in another upload"
        )


def _require_open(upload_id: UUID, upload: StoredUpload | None) -> None:
    if upload is None:
        raise upload_not_found(upload_id)
    if upload.snapshot is not None:
        raise UploadCommitted(
            f"the upload is committed as snapshot {upload.snapshot} of {upload.dataset!r}; "
            f"POST /datasets/{upload.dataset}/uploads begins another"
        )
