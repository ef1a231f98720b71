"""Receive whole files as snapshots, list the files of snapshots, and read their bytes."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Final
from uuid import UUID

from app.auth.callers import Caller
from app.blobs import BlobMissing
from app.datasets import file_store, store, upload_service
from app.datasets.file_store import ByteSpan, StoredFile
from app.datasets.model import CommitFile, CreateUpload, File, PublishedFile, Snapshot
from app.datasets.parts import ObjectCache, read_range
from app.datasets.problems import (
    FileNotInSnapshot,
    InvalidPart,
    InvalidRecords,
    UploadNotFound,
    dataset_not_found,
    later_in_file,
    later_records,
)
from app.datasets.publishing import commit, require_no_folders
from app.datasets.refs import DatasetRef, parse_path
from app.datasets.service import resolve
from app.datasets.splitting import split_parts
from app.datasets.upload_service import Part
from app.datasets.upload_store import StoredUpload
from app.db import Connection
from app.errors import InvalidRequest, Problem, clipped, invalid
from app.pagination import Page, Paginator, invalid_cursor
from app.quotas.turns import TenantTurns
from app.resources import Resources

# Parts of a file that one query lists.
_LISTED_PARTS: Final = 500
# The upload of a file expires so soon after its last part: no client can continue it.
_HOURS: Final = 1
_PATH_IN_COMMIT: Final = "/files/0/path"


async def receive_file(
    resources: Resources, caller: Caller, dataset: str, part: Part, *, turns: TenantTurns
) -> PublishedFile:
    """Store a file as it arrives, in parts that take turns, and publish it as a snapshot.

    `part.data` is the whole file. Raises DatasetNotFound, UploadNotFound, InvalidRequest,
    InvalidPart, InvalidRecords, UncheckedPart, CheckBusy, TooManyChecks, QuotaExceeded, and what
    the data raises; nothing stays of a file that is refused.
    """
    upload = await upload_service.begin(resources, caller, dataset, CreateUpload(), hours=_HOURS)
    try:
        await upload_service.find_open(
            resources, caller, upload.id, announced_bytes=part.announced_bytes
        )
        async with resources.pool.acquire() as conn:
            await require_no_folders(conn, caller.tenant, upload.dataset_id, [part.path])
        named = await _receive_parts(resources, caller, upload, part, turns)
        _, snapshot, _ = await commit(resources, caller, upload.id, [named])
    except BaseException as error:
        # An upload that cannot be deleted now expires, unless it was committed.
        with suppress(Exception):
            await asyncio.shield(upload_service.discard(resources, caller, upload.id))
        if isinstance(error, UploadNotFound):
            raise await _lost(resources, caller.tenant, upload) from None
        if isinstance(error, InvalidRequest):
            raise _in_address(error) from None
        raise
    return await _describe(resources, caller.tenant, upload, part.path, snapshot)


async def find_file(resources: Resources, tenant: UUID, ref: DatasetRef, path: str) -> StoredFile:
    """Find a file of a snapshot. Raises DatasetNotFound, SnapshotNotFound, FileNotInSnapshot."""
    async with resources.pool.acquire() as conn, _one_state(conn):
        resolved = await resolve(conn, tenant, ref)
        number = resolved.number
        assert number is not None  # noqa: S101 - resolved
        file = await file_store.select_file(conn, tenant, resolved.dataset_id, number, path)
    if file is None:
        raise FileNotInSnapshot(
            f"snapshot {number} of {ref.name!r} has no file {clipped(path)!r}; "
            f"GET /datasets/{ref.name}/files lists them"
        )
    return file


async def list_files(
    resources: Resources, tenant: UUID, ref: DatasetRef, *, cursor: str | None, limit: int
) -> Page[File]:
    """List the files of a snapshot by path.

    A page belongs to the snapshot of the first page. Raises DatasetNotFound, SnapshotNotFound,
    InvalidRequest.
    """
    async with resources.pool.acquire() as conn, _one_state(conn):
        resolved = await resolve(conn, tenant, ref)
        number = resolved.number
        assert number is not None  # noqa: S101 - resolved
        paginator = Paginator("files", resolved.dataset_id, number)
        after = "" if cursor is None else _path_in(paginator.position(cursor), cursor)
        rows = await file_store.select_file_page(
            conn, tenant, resolved.dataset_id, number, after=after, limit=limit + 1
        )
    items = rows[:limit]
    next_cursor = paginator.cursor(items[-1].path.encode()) if len(rows) > limit else None
    return Page(items=items, next_cursor=next_cursor)


async def read_file(
    resources: Resources, cache: ObjectCache, tenant: UUID, file_id: UUID, span: ByteSpan
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a file's span, part by part, and never fewer.

    Raises BlobMissing, also if the file is deleted meanwhile, ObjectDamaged, BlobsUnavailable.
    """
    after = 0
    position = span.start
    while position < span.end:
        async with resources.pool.acquire() as conn:
            parts = await file_store.select_file_parts(
                conn, tenant, file_id, span, after=after, limit=_LISTED_PARTS
            )
        for part in parts:
            start = position - part.first_byte
            end = min(part.raw_bytes, span.end - part.first_byte)
            async with aclosing(read_range(cache, part, start, end)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    position += len(chunk)
            after = part.number
        if position < span.end and len(parts) < _LISTED_PARTS:
            raise BlobMissing(f"the parts of the file {file_id} after number {after} are deleted")


def _one_state(conn: Connection) -> AbstractAsyncContextManager[None]:
    """Begin a transaction whose statements see one state: all of a snapshot, or that it is gone."""
    return conn.transaction(isolation="repeatable_read", readonly=True)


async def _receive_parts(
    resources: Resources, caller: Caller, upload: StoredUpload, part: Part, turns: TenantTurns
) -> CommitFile:
    """Store the parts of a file one after the other; return what a commit names."""
    digests = hashlib.sha256()
    number = lines = size_bytes = 0
    async for data in split_parts(part.data, upload.format):
        number += 1
        try:
            stored, _ = await upload_service.keep_part(
                resources,
                caller,
                upload,
                Part(path=part.path, number=number, data=data),
                turns=turns,
                hours=_HOURS,
            )
        except InvalidPart as error:
            raise later_in_file(error, lines=lines, size_bytes=size_bytes) from None
        except InvalidRecords as error:
            raise later_records(error, lines=lines) from None
        digests.update(stored.sha256)
        lines += stored.lines
        size_bytes += stored.raw_bytes
    return CommitFile(path=part.path, parts=number, digest=digests.hexdigest())


async def _lost(resources: Resources, tenant: UUID, upload: StoredUpload) -> Problem:
    """Say why the upload of a file, which its client has not seen, is not there any more."""
    async with resources.pool.acquire() as conn:
        dataset = await store.select_dataset(conn, tenant, upload.dataset)
    if dataset is None or dataset.id != upload.dataset_id:
        return dataset_not_found(upload.dataset)
    return UploadNotFound(
        f"the upload of the file, {upload.id}, has been deleted, or has got no part for {_HOURS} "
        "h; send the file again"
    )


def _in_address(error: InvalidRequest) -> InvalidRequest:
    """Return an error about the only file of a commit as one about the request's address."""
    [fault, *_] = error.errors or [{}]
    if fault.get("pointer") != _PATH_IN_COMMIT:
        return error
    return invalid("/path", str(fault["message"]))


async def _describe(
    resources: Resources, tenant: UUID, upload: StoredUpload, path: str, snapshot: Snapshot
) -> PublishedFile:
    async with resources.pool.acquire() as conn:
        file = await file_store.select_file(conn, tenant, upload.dataset_id, snapshot.number, path)
    if file is None:
        raise FileNotInSnapshot(
            f"the file was published as snapshot {snapshot.number} of {upload.dataset!r}, and has "
            "been deleted since"
        )
    return PublishedFile(dataset=upload.dataset, file=file.described(), snapshot=snapshot)


def _path_in(position: bytes, cursor: str) -> str:
    try:
        return parse_path(position.decode())
    except (UnicodeDecodeError, InvalidRequest):
        raise invalid_cursor(cursor) from None
