"""Flows of uploads: many files, in parts, that become one snapshot."""

import base64
import hashlib
from typing import Final
from uuid import UUID

from msgspec import json

from crivo.bodies import Body
from crivo.dataset_flows import path_of
from crivo.dataset_models import HeldUpload, Snapshot, Upload, UploadPart
from crivo.errors import NotFound
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import ACCEPTANCE_SECONDS
from crivo.wire import JSON, Request, path_segments, segment

# The service stores a part, and may have to wait for its disk.
_PART_SECONDS: Final = 60.0


def begin(session: Session, dataset: str, *, mode: str) -> Flow[Upload]:
    """Begin an upload; repeated because its response is lost, it begins once."""
    request = Request(
        method="POST",
        path=path_of(dataset, "uploads"),
        headers=JSON,
        body=Body(json.encode({"mode": mode})),
        creates=True,
    )
    return (yield from session.fetch(request, Upload))


def find(session: Session, upload: UUID) -> Flow[HeldUpload | None]:
    """Show an upload with what it holds; None: it has expired."""
    try:
        return (yield from session.get(_path_of(upload), HeldUpload))
    except NotFound:
        return None


def put_part(
    session: Session, upload: UUID, path: str, number: int, *, packed: bytes
) -> Flow[UploadPart]:
    """Send a part that is compressed with Zstandard; repeated, it is held once."""
    digest = base64.b64encode(hashlib.sha256(packed).digest()).decode()
    request = Request(
        method="PUT",
        path=_path_of(upload, f"files/{path_segments(path)}/parts/{number}"),
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "zstd",
            "Content-Digest": f"sha-256=:{digest}:",
        },
        body=Body(packed),
        wait=_PART_SECONDS,
    )
    return (yield from session.fetch(request, UploadPart))


def remove_file(session: Session, upload: UUID, path: str) -> Flow[None]:
    """Drop a file of an upload, also one that is dropped already."""
    request = Request(method="DELETE", path=_path_of(upload, f"files/{path_segments(path)}"))
    try:
        yield from session.deliver(request)
    except NotFound as error:
        if error.code != "file-not-found":
            raise


def commit(session: Session, upload: UUID, files: list[dict[str, object]]) -> Flow[Snapshot]:
    """Publish an upload; repeated, it returns the same snapshot."""
    request = Request(
        method="POST",
        path=_path_of(upload, "commit"),
        headers=JSON,
        body=Body(json.encode({"files": files})),
        wait=ACCEPTANCE_SECONDS,
    )
    return (yield from session.fetch(request, Snapshot))


def abandon(session: Session, upload: UUID) -> Flow[None]:
    """Delete an open upload, also one that is deleted already."""
    try:
        yield from session.deliver(Request(method="DELETE", path=_path_of(upload)))
    except NotFound:
        return


def _path_of(upload: UUID, part: str = "") -> str:
    path = f"/uploads/{segment(upload)}"
    return f"{path}/{part}" if part else path
