"""Write what an upload holds as JSON, while it is read: an upload can have millions of parts."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import msgspec

from app.datasets import upload_store
from app.datasets.upload_service import describe, find
from app.datasets.upload_store import StoredUpload
from app.resources import Resources

_LISTED_PARTS: Final = 1_000


async def open_contents(
    resources: Resources, tenant: UUID, upload_id: UUID
) -> AsyncIterator[bytes]:
    """Return the JSON of a `HeldUpload`, to be read in chunks. Raises UploadNotFound."""
    return _written(resources, tenant, await find(resources, tenant, upload_id))


async def _written(
    resources: Resources, tenant: UUID, upload: StoredUpload
) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(describe(upload)).removesuffix(b"}") + b',"files":['
    path, number = "", 0
    while True:
        async with resources.pool.acquire() as conn:
            parts = await upload_store.select_held_parts(
                conn, tenant, upload.id, path=path, number=number, limit=_LISTED_PARTS
            )
        written = []
        for part in parts:
            if part.path == path:
                written.append(",")
            else:
                # No path is empty.
                written += ["]}," if path else "", '{"path":', _quoted(part.path), ',"parts":[']
            written.append(part.described)
            path, number = part.path, part.number
        yield "".join(written).encode()
        if len(parts) < _LISTED_PARTS:
            break
    yield b"]}]}" if path else b"]}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
