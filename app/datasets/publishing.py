"""Commit uploads: publish the files that they hold as the next snapshot, in one transaction."""

from collections.abc import Sequence
from uuid import UUID

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.datasets import commit_store, store, upload_store
from app.datasets.commit_store import HeldFile
from app.datasets.model import CommitFile, Snapshot
from app.datasets.parts import Format
from app.datasets.problems import (
    CommitDiffers,
    UploadCommitted,
    snapshot_not_found,
    upload_not_found,
)
from app.datasets.refs import parse_path
from app.datasets.service import target_of
from app.datasets.upload_store import StoredUpload
from app.db import Connection
from app.errors import InvalidRequest, clipped
from app.metrics import SNAPSHOTS_PUBLISHED
from app.resources import Resources
from app.validation import MAX_FAULTS

Fault = dict[str, object]


async def commit(
    resources: Resources, caller: Caller, upload_id: UUID, files: Sequence[CommitFile]
) -> tuple[str, Snapshot, bool]:
    """Publish an upload; return the dataset's name, the snapshot, and whether it is new.

    Repeating a commit returns the snapshot that it published. Raises UploadNotFound,
    InvalidRequest, CommitDiffers, UploadCommitted if the upload was committed with other files,
    SnapshotNotFound if their snapshot has been deleted since.
    """
    _require_distinct(files)
    async with resources.pool.acquire() as conn, conn.transaction():
        upload = await upload_store.select_upload(conn, caller.tenant, upload_id)
        if upload is None:
            raise upload_not_found(upload_id)
        # The dataset first, as everywhere; its commits take turns.
        dataset = await store.lock_dataset(conn, caller.tenant, upload.dataset_id)
        locked = await upload_store.lock_upload(conn, caller.tenant, upload_id)
        if dataset is None or locked is None:
            raise upload_not_found(upload_id)
        if locked.snapshot is not None:
            return dataset.name, await _committed(conn, caller.tenant, locked, files), False
        held = await commit_store.select_files_to_commit(conn, caller.tenant, upload_id)
        ordered = _matched(files, held, has_lines=dataset.format is not Format.BYTES)
        published = await commit_store.publish_parts(
            conn,
            caller.tenant,
            upload_id,
            [each.id for each in ordered],
            first_sequence=dataset.next_sequence,
        )
        number = dataset.last_snapshot + 1
        await commit_store.publish_files(
            conn,
            caller.tenant,
            dataset.id,
            upload_id,
            ordered,
            mode=locked.mode,
            snapshot=number,
        )
        paths = [each.path for each in ordered]
        await require_no_folders(conn, caller.tenant, dataset.id, paths)
        snapshot = await commit_store.insert_snapshot(
            conn,
            caller.tenant,
            dataset,
            upload_id,
            mode=locked.mode,
            published=published,
            hours=resources.settings.upload_hours,
        )
        details = {"snapshot": number, "files": len(ordered), "upload": str(upload_id)}
        target = target_of(dataset.name)
        await log_action(conn, caller, Action.SNAPSHOT_PUBLISHED, target, details=details)
        await reauthorize_before_commit(caller)
    SNAPSHOTS_PUBLISHED.inc()
    return dataset.name, snapshot, True


async def require_no_folders(
    conn: Connection, tenant: UUID, dataset_id: UUID, paths: Sequence[str]
) -> None:
    """Require that none of the paths is a folder of a current file, or has one as its folder.

    No client could keep both. Raises InvalidRequest.
    """
    numbers = {path: number for number, path in enumerate(paths)}
    folders = {folder: path for path in paths for folder in _folders_of(path)}
    nested = await commit_store.select_nested_files(
        conn, tenant, dataset_id, paths, list(folders), limit=MAX_FAULTS
    )
    faults: list[Fault] = []
    for each in nested:
        path = folders.get(each) or next(at for at in _folders_of(each) if at in numbers)
        message = f"{clipped(path)!r} and {clipped(each)!r} cannot both be files"
        faults.append(_fault(f"/files/{numbers[path]}/path", message))
    if faults:
        raise InvalidRequest(f"{faults[0]['pointer']}: {faults[0]['message']}", errors=faults)


def _folders_of(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(1, len(names))]


async def _committed(
    conn: Connection, tenant: UUID, upload: StoredUpload, files: Sequence[CommitFile]
) -> Snapshot:
    """Return the snapshot of a repeated commit. Raises SnapshotNotFound, UploadCommitted."""
    assert upload.snapshot is not None  # noqa: S101 - it is committed
    snapshot = await store.select_snapshot(conn, tenant, upload.dataset_id, upload.snapshot)
    if snapshot is None:
        raise snapshot_not_found(upload.dataset, upload.snapshot)
    if await commit_store.select_committed_files(conn, tenant, upload.id) != list(files):
        raise UploadCommitted(
            f"the upload is committed as snapshot {upload.snapshot} of {upload.dataset!r}, with "
            f"other files; POST /datasets/{upload.dataset}/uploads begins another"
        )
    return snapshot


def _require_distinct(files: Sequence[CommitFile]) -> None:
    faults: list[Fault] = []
    known: set[str] = set()
    for number, file in enumerate(files):
        try:
            parse_path(file.path)
        except InvalidRequest as error:
            faults += [{**each, "pointer": f"/files/{number}/path"} for each in error.errors]
        if file.path in known:
            message = f"{clipped(file.path)!r} is named more than once"
            faults.append({"pointer": f"/files/{number}/path", "message": message})
        known.add(file.path)
    if faults:
        first = f"{faults[0]['pointer']}: {faults[0]['message']}"
        raise InvalidRequest(first, errors=faults[:MAX_FAULTS])


def _matched(
    files: Sequence[CommitFile], held: Sequence[HeldFile], *, has_lines: bool
) -> list[HeldFile]:
    """Return the held files in the order of the commit. Raises CommitDiffers."""
    by_path = {each.path: each for each in held}
    faults: list[Fault] = []
    for number, file in enumerate(files):
        mine = by_path.get(file.path)
        pointer = f"/files/{number}"
        if mine is None:
            faults.append(_fault(f"{pointer}/path", f"no part of {clipped(file.path)!r} is held"))
        elif (mine.parts, mine.last_part) != (file.parts, file.parts):
            message = f"is {file.parts}; {mine.parts} are held, up to number {mine.last_part}"
            faults.append(_fault(f"{pointer}/parts", message))
        elif mine.digest != file.digest:
            message = f"is {file.digest}; that of the held parts is {mine.digest}"
            faults.append(_fault(f"{pointer}/digest", message))
        elif has_lines and not mine.whole:
            message = "a part before the last does not end at the end of a line"
            faults.append(_fault(f"{pointer}/parts", message))
    named = {file.path for file in files}
    faults += [
        _fault("/files", f"the upload also holds {clipped(each.path)!r}")
        for each in held
        if each.path not in named
    ]
    if faults:
        first = f"{faults[0]['pointer']}: {faults[0]['message']}"
        raise CommitDiffers(first, errors=faults[:MAX_FAULTS])
    return [by_path[file.path] for file in files]


def _fault(pointer: str, message: str) -> Fault:
    return {"pointer": pointer, "message": message}
