"""Create, show, list and delete datasets, and resolve references to their snapshots."""

from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import deletion_store, retention, store
from app.datasets.blob_cleanup import delete_blobs
from app.datasets.model import Dataset, PutDataset, Snapshot
from app.datasets.parts import Format, parse_pointer
from app.datasets.problems import (
    DatasetDiffers,
    NewestSnapshot,
    ReadByExport,
    ReadByRun,
    dataset_not_found,
    snapshot_not_found,
)
from app.datasets.quota_store import require_room_for_dataset
from app.datasets.refs import DatasetRef
from app.datasets.store import ResolvedSnapshot
from app.db import Connection
from app.errors import Problem, invalid, located
from app.pagination import Page, Paginator
from app.preconditions import Preconditions
from app.resources import Resources
from app.schemas import resolution_store as schemas
from app.schemas.model import ResolvedSchema
from app.schemas.pinned import SchemaKey
from app.schemas.refs import parse_schema_ref

_MAX_NUMBER: Final = 2**31 - 1


async def put(
    resources: Resources,
    caller: Caller,
    name: str,
    wanted: PutDataset,
    *,
    preconditions: Preconditions,
) -> tuple[Dataset, bool]:
    """Create a dataset, or change its description and retention; return whether it is new.

    Raises InvalidRequest, SchemaNotFound, SchemaVersionNotFound, SchemaArchived, DatasetDiffers,
    PreconditionFailed, QuotaExceeded.
    """
    _require_key(wanted)
    async with resources.pool.acquire() as conn, conn.transaction():
        before = await store.lock_dataset(conn, caller.tenant, name)
        schema = await _resolve_schema(
            conn, caller.tenant, wanted, allow_archived=before is not None
        )
        preconditions.require(None if before is None else "*")
        if before is None:
            if await create(resources, conn, caller, name, wanted, schema=schema):
                return await read_dataset(conn, caller.tenant, name), True
            # Another request has created it since.
            before = await store.lock_dataset(conn, caller.tenant, name)
            preconditions.require(None if before is None else "*")
        if before is None:
            raise dataset_not_found(name)
        current = await read_dataset(conn, caller.tenant, name)
        wanted = replace(wanted, schema=None if schema is None else schema.ref)
        if _fixed(current) != _fixed(wanted):
            raise DatasetDiffers(
                f"the dataset {name!r} has the format {current.format}, "
                f"{'no key' if current.key is None else f'the key {current.key}'} and "
                f"{'no schema' if current.schema is None else f'the schema {current.schema}'}, "
                "which do not change; send them as they are, or use another name"
            )
        if all(
            getattr(current, each) == getattr(wanted, each) for each in wanted.__struct_fields__
        ):
            return current, False
        await store.update_dataset(conn, caller.tenant, before.id, wanted)
        await _log(conn, caller, Action.DATASET_CHANGED, name)
        return await read_dataset(conn, caller.tenant, name), False


async def create(
    resources: Resources,
    conn: Connection,
    caller: Caller,
    name: str,
    wanted: PutDataset,
    *,
    schema: ResolvedSchema | None = None,
) -> bool:
    """Create a dataset in the running transaction, unless there is one; return whether it is new.

    `schema` is the one that `wanted` names. Raises QuotaExceeded.
    """
    key = None if schema is None else SchemaKey(schema.schema_id, schema.version)
    if not await store.insert_dataset(
        conn, caller.tenant, uuid.uuid7(), name, wanted, record_schema=key
    ):
        return False
    limit = resources.settings.max_datasets
    await require_room_for_dataset(conn, caller.tenant, limit=limit)
    await _log(conn, caller, Action.DATASET_CREATED, name)
    return True


async def show(resources: Resources, tenant: UUID, ref: DatasetRef) -> Dataset:
    """Return a dataset, with the snapshot that a reference names.

    Raises DatasetNotFound, SnapshotNotFound.
    """
    async with resources.pool.acquire() as conn:
        dataset = await read_dataset(conn, tenant, ref.name)
        if ref.snapshot is None:
            return dataset
        return replace(dataset, snapshot=await _read_snapshot(conn, tenant, dataset.id, ref))


async def list_datasets(
    resources: Resources, tenant: UUID, *, cursor: str | None, limit: int
) -> Page[Dataset]:
    """List datasets, newest first. Raises InvalidRequest."""
    paginator = Paginator("datasets")
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        rows = await store.select_dataset_page(conn, tenant, below=below, limit=limit + 1)
    return paginator.page(rows, [row.id for row in rows], limit=limit)


async def delete(resources: Resources, caller: Caller, name: str) -> None:
    """Delete a dataset with its snapshots, files and uploads; runs and exports of it fail.

    Raises DatasetNotFound.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        dataset_id = await deletion_store.lock_for_deletion(conn, caller.tenant, name)
        if dataset_id is None:
            raise dataset_not_found(name)
        blob_keys = await deletion_store.delete_dataset(conn, caller.tenant, dataset_id)
        await _log(conn, caller, Action.DATASET_DELETED, name)
    await delete_blobs(resources.blobs, blob_keys)


async def show_snapshot(resources: Resources, tenant: UUID, ref: DatasetRef) -> Snapshot:
    """Return the snapshot that a reference names. Raises DatasetNotFound, SnapshotNotFound."""
    async with resources.pool.acquire() as conn:
        resolved = await resolve(conn, tenant, ref)
        return await _read_snapshot(conn, tenant, resolved.dataset_id, ref, resolved.number)


async def delete_snapshot(resources: Resources, caller: Caller, ref: DatasetRef) -> None:
    """Delete a snapshot, and the files that no other one has.

    Raises DatasetNotFound, SnapshotNotFound, NewestSnapshot, ReadByRun, ReadByExport.
    """
    async with resources.pool.acquire() as conn, conn.transaction():
        dataset = await store.lock_dataset(conn, caller.tenant, ref.name)
        if dataset is None:
            raise dataset_not_found(ref.name)
        number = dataset.last_snapshot if ref.snapshot is None else ref.snapshot
        await _read_snapshot(conn, caller.tenant, dataset.id, ref, number)
        if number == dataset.last_snapshot:
            raise NewestSnapshot(
                f"snapshot {number} is the newest of {ref.name!r}; publish another one first, or "
                f"DELETE /datasets/{ref.name}"
            )
        reader = await deletion_store.find_reader(conn, caller.tenant, dataset.id, number)
        if reader is not None:
            raise _read_by(*reader, what=f"snapshot {number} of {ref.name!r}")
        deleted = await retention.delete_snapshots(
            conn, caller.tenant, dataset.id, first=number, last=number
        )
        details = {"snapshot": number}
        target = target_of(ref.name)
        await log_action(conn, caller, Action.SNAPSHOT_DELETED, target, details=details)
        await reauthorize_before_commit(caller)
    await delete_blobs(resources.blobs, deleted.blob_keys)


def _read_by(kind: str, reader: UUID, *, what: str) -> Problem:
    if kind == "run":
        return ReadByRun(f"a run reads {what}", run=reader)
    return ReadByExport(f"an export reads {what}", export=reader)


async def list_snapshots(
    resources: Resources, tenant: UUID, name: str, *, cursor: str | None, limit: int
) -> Page[Snapshot]:
    """List the snapshots of a dataset, newest first. Raises DatasetNotFound, InvalidRequest."""
    async with resources.pool.acquire() as conn:
        dataset = await read_dataset(conn, tenant, name)
        paginator = Paginator("snapshots", dataset.id)
        below = _MAX_NUMBER if cursor is None else _number_in(paginator.position(cursor))
        rows = await store.select_snapshot_page(
            conn, tenant, dataset.id, below=below, limit=limit + 1
        )
    items = rows[:limit]
    has_more = len(rows) > limit
    next_cursor = paginator.cursor(items[-1].number.to_bytes(4, "big")) if has_more else None
    return Page(items=items, next_cursor=next_cursor)


async def resolve(conn: Connection, tenant: UUID, ref: DatasetRef) -> ResolvedSnapshot:
    """Resolve a reference to a snapshot. Raises DatasetNotFound, SnapshotNotFound."""
    resolved = await store.resolve_snapshot(conn, tenant, ref.name, ref.snapshot)
    if resolved is None:
        raise dataset_not_found(ref.name)
    if resolved.number is None:
        raise snapshot_not_found(ref.name, ref.snapshot)
    return resolved


async def require(conn: Connection, tenant: UUID, ref: DatasetRef) -> None:
    """Require what a reference names: a snapshot, or only a dataset, which may have none.

    Raises DatasetNotFound, SnapshotNotFound.
    """
    if ref.snapshot is None:
        await read_dataset(conn, tenant, ref.name)
    else:
        await resolve(conn, tenant, ref)


async def read_dataset(conn: Connection, tenant: UUID, name: str) -> Dataset:
    """Read a dataset. Raises DatasetNotFound."""
    dataset = await store.select_dataset(conn, tenant, name)
    if dataset is None:
        raise dataset_not_found(name)
    return dataset


def target_of(name: str) -> str:
    """Return the path that names a dataset in the audit log."""
    return f"/datasets/{name}"


def _require_key(wanted: PutDataset) -> None:
    if wanted.key is None:
        return
    if wanted.format is not Format.JSONL:
        raise invalid("/key", f"needs the format jsonl; it is {wanted.format}")
    try:
        parse_pointer(wanted.key)
    except ValueError as error:
        raise invalid("/key", str(error)) from None


async def _resolve_schema(
    conn: Connection, tenant: UUID, wanted: PutDataset, *, allow_archived: bool
) -> ResolvedSchema | None:
    """Resolve the schema of a dataset, which keeps one that has been archived since."""
    if wanted.schema is None:
        return None
    if wanted.format is not Format.JSONL:
        raise invalid("/schema", f"needs the format jsonl; it is {wanted.format}")
    try:
        ref = parse_schema_ref(wanted.schema)
        return await schemas.resolve(conn, tenant, ref, allow_archived=allow_archived)
    except Problem as problem:
        raise located("/schema", problem) from None


def _fixed(dataset: Dataset | PutDataset) -> tuple[object, ...]:
    """Return what never changes of a dataset."""
    return dataset.format, dataset.key, dataset.schema


async def _read_snapshot(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    ref: DatasetRef,
    number: int | None = None,
) -> Snapshot:
    wanted = ref.snapshot if number is None else number
    snapshot = None
    if wanted is not None:
        snapshot = await store.select_snapshot(conn, tenant, dataset_id, wanted)
    if snapshot is None:
        raise snapshot_not_found(ref.name, wanted)
    return snapshot


async def _log(conn: Connection, caller: Caller, action: Action, name: str) -> None:
    """Log the last step of a transaction, if its caller still has access."""
    await log_action(conn, caller, action, target_of(name))
    await reauthorize_before_commit(caller)


def _number_in(position: bytes) -> int:
    return min(int.from_bytes(position, "big"), _MAX_NUMBER)
