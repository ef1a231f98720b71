"""Write the results of a batch as NDJSON, in the order of its inputs and in constant memory."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog

from app.batches.store import ResultRow, select_results
from app.blobs import BlobMissing
from app.executions.model import Status
from app.payloads.model import PayloadRef, StoredPayload
from app.payloads.reader import open_payload
from app.resources import Resources

log = structlog.get_logger(__name__)

_PAGE_BYTES: Final = 512 * 1024
_PAGE_ROWS: Final = 500


async def write_results(
    resources: Resources,
    tenant: UUID,
    batch_id: UUID,
    *,
    after: int,
    statuses: Sequence[Status] | None,
) -> AsyncGenerator[bytes, None]:
    """Yield a line for each item after a line, as it is when its page is read.

    A result's own bytes become part of its line: they are not decoded, and have no line feed. An
    item whose blob is gone has a line without its result. A result that is bytes does not become
    part of a line, which has its hash and media type instead. Raises BlobsUnavailable.
    """
    line = after
    while True:
        async with resources.pool.acquire() as conn:
            rows = await select_results(
                conn,
                tenant,
                batch_id,
                above=line,
                statuses=statuses,
                max_bytes=_PAGE_BYTES,
                max_rows=_PAGE_ROWS,
            )
        if not rows:
            return
        line = rows[-1].line
        written: list[bytes] = []
        for row in rows:
            if row.blob_key is None or row.media_type is not None:
                written.append(_line(row))
                continue
            try:
                chunks = await open_payload(resources.blobs, _stored(row))
            except BlobMissing:
                # Erased since the page was read, or lost: it must not end the others' download.
                log.warning("batch.result_missing", id=str(row.id))
                written.append(b'%b,"result_missing":true}\n' % _opening(row))
                continue
            yield b"".join(written) + _opening(row) + b',"result":'
            written = []
            async for chunk in chunks:
                yield chunk
            written.append(b"}\n")
        yield b"".join(written)


def _line(row: ResultRow) -> bytes:
    if row.body is not None:
        return b'%b,"result":%b}\n' % (_opening(row), row.body)
    if row.media_type is not None and row.sha256 is not None and row.erased_at is None:
        output = PayloadRef(
            sha256=row.sha256.hex(), bytes=row.size_bytes or 0, media_type=row.media_type
        )
        return b'%b,"output":%b}\n' % (_opening(row), msgspec.json.encode(output))
    if row.error is not None:
        return b'%b,"error":%b}\n' % (_opening(row), row.error)
    if row.erased_at is not None:
        return b'%b,"data_erased_at":%b}\n' % (_opening(row), msgspec.json.encode(row.erased_at))
    return b"%b}\n" % _opening(row)


def _opening(row: ResultRow) -> bytes:
    return b'{"line":%d,"id":"%s","status":"%s"' % (
        row.line,
        str(row.id).encode(),
        row.status.encode(),
    )


def _stored(row: ResultRow) -> StoredPayload:
    return StoredPayload(
        sha256=b"", size_bytes=row.size_bytes or 0, body=None, blob_key=row.blob_key
    )
