"""Find records by their keys or by their place in a snapshot."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Final
from uuid import UUID

from msgspec import Raw, Struct

from app.blobs import BlobMissing
from app.datasets.catalog import Catalog, Catalogs
from app.datasets.parts import (
    Format,
    Pointer,
    encode_key,
    find,
    find_newest,
    parse_key,
    parse_pointer,
    read_lines,
)
from app.datasets.parts.threads import call_by_size
from app.datasets.problems import (
    DatasetWithoutRecords,
    RecordNotFound,
    dataset_not_found,
)
from app.datasets.refs import DatasetRef
from app.datasets.service import resolve
from app.datasets.store import ResolvedSnapshot
from app.errors import InvalidRequest, clipped, invalid_parameter
from app.metrics import RECORDS_READ
from app.resources import Resources
from app.validation import MAX_FAULTS

# A merge of indexes, or retention, can delete blobs under a reader, which then reads the rows anew.
_ATTEMPTS: Final = 3


class Found(Struct, frozen=True, kw_only=True):
    """A record, and the snapshot that added its file."""

    line: bytes
    snapshot: int

    async def etag(self) -> str:
        """Return the entity tag, the SHA-256 of the record."""
        digest = await call_by_size(len(self.line), hashlib.sha256, self.line)
        return f'"{digest.hexdigest()}"'


class OpenSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot whose records can be read."""

    resolved: ResolvedSnapshot
    number: int
    catalog: Catalog


async def open_snapshot(
    resources: Resources, catalogs: Catalogs, tenant: UUID, ref: DatasetRef
) -> OpenSnapshot:
    """Open the snapshot that a reference names. Raises DatasetNotFound, SnapshotNotFound."""
    async with resources.pool.acquire() as conn:
        resolved = await resolve(conn, tenant, ref)
    catalog = await catalogs.catalog(tenant, resolved.dataset_id, resolved.revision)
    if catalog is None:
        raise dataset_not_found(ref.name)
    assert resolved.number is not None  # noqa: S101 - resolved
    return OpenSnapshot(resolved=resolved, number=resolved.number, catalog=catalog)


def key_in_path(text: str, *, is_number: bool) -> bytes:
    """Return the key that an address names: a string, or a number as JSON has it.

    Raises InvalidRequest.
    """
    if not is_number:
        return encode_key(text)
    try:
        key = parse_key(text.encode())
    except ValueError:
        key = b""
    if not key or text.lstrip().startswith('"'):
        raise invalid_parameter("type", f"is number, and {clipped(text)!r} is none in JSON")
    return key


def keys_in_json(keys: Sequence[Raw]) -> list[bytes]:
    """Return the keys of a request. Raises InvalidRequest for what is no string or number."""
    found = [_key_or_empty(bytes(each)) for each in keys]
    faults = [
        {"pointer": f"/keys/{number}", "message": "is neither a string nor a number"}
        for number, key in enumerate(found)
        if not key
    ]
    if faults:
        first = f"{faults[0]['pointer']}: {faults[0]['message']}"
        raise InvalidRequest(first, errors=faults[:MAX_FAULTS])
    return found


async def find_record(
    resources: Resources, catalogs: Catalogs, tenant: UUID, ref: DatasetRef, key: bytes
) -> tuple[Found, OpenSnapshot]:
    """Find the record of a key that wins. Raises RecordNotFound, DatasetWithoutRecords."""
    snapshot = await open_snapshot(resources, catalogs, tenant, ref)
    try:
        found = await _newest(catalogs, snapshot, key)
    except BlobMissing:
        snapshot = await open_snapshot(resources, catalogs, tenant, ref)
        found = await _newest(catalogs, snapshot, key)
    if found is None:
        RECORDS_READ.labels("missing").inc()
        raise record_not_found(snapshot)
    RECORDS_READ.labels("found").inc()
    return found, snapshot


async def find_records(
    resources: Resources,
    catalogs: Catalogs,
    tenant: UUID,
    ref: DatasetRef,
    keys: Sequence[bytes],
) -> AsyncIterator[Found | None]:
    """Yield the record of each key in turn, all from one snapshot; None for a missing one.

    Raises DatasetNotFound, SnapshotNotFound, DatasetWithoutRecords.
    """
    snapshot = await open_snapshot(resources, catalogs, tenant, ref)
    pinned = DatasetRef(name=ref.name, snapshot=snapshot.number)
    for key in keys:
        try:
            found = await _newest(catalogs, snapshot, key)
        except BlobMissing:
            snapshot = await open_snapshot(resources, catalogs, tenant, pinned)
            found = await _newest(catalogs, snapshot, key)
        RECORDS_READ.labels("missing" if found is None else "found").inc()
        yield found


async def find_history(
    resources: Resources,
    catalogs: Catalogs,
    tenant: UUID,
    ref: DatasetRef,
    key: bytes,
    *,
    limit: int,
) -> AsyncIterator[Found]:
    """Yield up to `limit` values of a key up to a snapshot, newest first, one for each file.

    Raises RecordNotFound, DatasetWithoutRecords.
    """
    snapshot = await open_snapshot(resources, catalogs, tenant, ref)
    pinned = DatasetRef(name=ref.name, snapshot=snapshot.number)
    yielded = 0
    for attempt in range(_ATTEMPTS):
        number = 0
        try:
            async with aclosing(_history(catalogs, snapshot, key)) as values:
                async for each in values:
                    number += 1
                    # After a merge, the values are the same.
                    if number > yielded:
                        yielded += 1
                        yield each
                    if number == limit:
                        break
        except BlobMissing:
            if attempt == _ATTEMPTS - 1:
                raise
            snapshot = await open_snapshot(resources, catalogs, tenant, pinned)
            continue
        break
    RECORDS_READ.labels("found" if yielded else "missing").inc()
    if not yielded:
        raise record_not_found(snapshot)


async def read_records(
    catalogs: Catalogs, snapshot: OpenSnapshot, *, first: int, count: int
) -> AsyncIterator[bytes]:
    """Yield lines of a snapshot in the order of its files, from line `first` on.

    Raises DatasetWithoutRecords.
    """
    name = snapshot.resolved.name
    if snapshot.resolved.format is not Format.JSONL:
        raise DatasetWithoutRecords(
            f"the dataset {name!r} has the format {snapshot.resolved.format}, whose lines are no "
            f"records; GET /datasets/{name}/files/<path> with Range returns bytes of a file"
        )
    for lines in snapshot.catalog.lines_of(snapshot.number, first=first, count=count):
        found = read_lines(catalogs.cache, lines.part, lines.first, lines.count)
        async with aclosing(found) as each_line:
            async for line in each_line:
                yield line


def record_not_found(snapshot: OpenSnapshot) -> RecordNotFound:
    """Say how many records there are, none of them with the key."""
    resolved = snapshot.resolved
    return RecordNotFound(
        f"snapshot {snapshot.number} of {resolved.name!r} has {resolved.records} records, none of "
        "them with this key; a key that is a number needs ?type=number",
        members={"snapshot": snapshot.number, "records": resolved.records},
    )


async def _newest(catalogs: Catalogs, snapshot: OpenSnapshot, key: bytes) -> Found | None:
    catalog = snapshot.catalog
    hit = await find_newest(
        catalogs.cache,
        key,
        catalog.segments,
        pointer=_pointer_of(snapshot),
        part_of=catalog.part_of(snapshot.number),
    )
    if hit is None:
        return None
    return Found(line=hit.line, snapshot=catalog.file_at(hit.sequence).added_in)


async def _history(
    catalogs: Catalogs, snapshot: OpenSnapshot, key: bytes
) -> AsyncGenerator[Found, None]:
    """Yield the values of a key in a snapshot and in those before it, newest first."""
    catalog = snapshot.catalog
    last_file = None
    hits = find(
        catalogs.cache,
        key,
        catalog.segments,
        pointer=_pointer_of(snapshot),
        part_of=catalog.part_up_to(snapshot.number),
    )
    async with aclosing(hits):
        async for hit in hits:
            file = catalog.file_at(hit.sequence)
            # Within a file only the last record of a key counts.
            if file.id != last_file:
                last_file = file.id
                yield Found(line=hit.line, snapshot=file.added_in)


def _pointer_of(snapshot: OpenSnapshot) -> Pointer:
    """Return where records have their key. Raises DatasetWithoutRecords."""
    resolved = snapshot.resolved
    if resolved.key is None:
        raise DatasetWithoutRecords(
            f"the dataset {resolved.name!r} has no key; "
            f"GET /datasets/{resolved.name}/records?from=0 returns its lines"
        )
    return _parsed(resolved.key)


# Thousands of requests a second have the same few pointers.
_parsed: Final = lru_cache(maxsize=256)(parse_pointer)


def _key_or_empty(text: bytes) -> bytes:
    try:
        return parse_key(text)
    except ValueError:
        return b""
