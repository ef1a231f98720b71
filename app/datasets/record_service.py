"""Find records by their keys or by their place in a snapshot."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Final
from uuid import UUID

from msgspec import Raw, Struct

from app.blobs import BlobMissing
from app.datasets.catalog import Catalog, Catalogs
from app.datasets.parts import (
    Format,
    HashSeed,
    Pointer,
    encode_key,
    find,
    find_newest,
    parse_key,
    parse_pointer,
    read_lines,
)
from app.datasets.problems import (
    DatasetWithoutRecords,
    RecordNotFound,
    dataset_not_found,
    snapshot_not_found,
)
from app.datasets.refs import DatasetRef
from app.datasets.service import resolve
from app.datasets.store import ResolvedSnapshot
from app.errors import InvalidRequest, clipped, invalid_parameter
from app.metrics import RECORDS_READ
from app.off_loop import call_by_size
from app.resources import Resources
from app.validation import MAX_FAULTS

# A merge of indexes, or retention, can delete blobs under a reader, which then reads the rows anew.
_ATTEMPTS: Final = 3
# Above every sequence.
_MAX_SEQUENCE: Final = 2**63 - 1


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

    @property
    def ref(self) -> DatasetRef:
        """Return the reference that names this snapshot, also when others are published."""
        return DatasetRef(name=self.resolved.name, snapshot=self.number)


async def open_snapshot(
    resources: Resources, catalogs: Catalogs, tenant: UUID, ref: DatasetRef
) -> OpenSnapshot:
    """Open the snapshot that a reference names. Raises DatasetNotFound, SnapshotNotFound."""
    number = ref.snapshot
    for _ in range(_ATTEMPTS):
        async with resources.pool.acquire() as conn:
            resolved = await resolve(conn, tenant, ref)
        number = resolved.number
        assert number is not None  # noqa: S101 - resolved
        catalog = await catalogs.catalog(tenant, resolved.dataset_id, resolved.revision)
        if catalog is None:
            raise dataset_not_found(ref.name)
        # The catalog may be newer: then files that only a deleted snapshot had are not in it.
        if catalog.has_snapshot(number):
            return OpenSnapshot(resolved=resolved, number=number, catalog=catalog)
    raise snapshot_not_found(ref.name, number)


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
    found, snapshot = await _find(resources, catalogs, tenant, snapshot, key)
    if found is None:
        RECORDS_READ.labels("missing").inc()
        raise record_not_found(snapshot)
    RECORDS_READ.labels("found").inc()
    return found, snapshot


async def read_again(
    resources: Resources, catalogs: Catalogs, tenant: UUID, snapshot: OpenSnapshot, key: bytes
) -> AsyncGenerator[bytes, None]:
    """Yield the record that `find_record` has found, for a response that begins later.

    Raises SnapshotNotFound if it is deleted meanwhile.
    """
    found, _ = await _find(resources, catalogs, tenant, snapshot, key)
    if found is not None:
        yield found.line


async def find_records(
    resources: Resources,
    catalogs: Catalogs,
    tenant: UUID,
    snapshot: OpenSnapshot,
    keys: Sequence[bytes],
) -> AsyncGenerator[Found | None, None]:
    """Yield the record of each key of a snapshot in turn; None for a missing one.

    Raises DatasetWithoutRecords, and SnapshotNotFound if it is deleted meanwhile.
    """
    for key in keys:
        found, snapshot = await _find(resources, catalogs, tenant, snapshot, key)
        RECORDS_READ.labels("missing" if found is None else "found").inc()
        yield found


async def find_history(
    resources: Resources,
    catalogs: Catalogs,
    tenant: UUID,
    snapshot: OpenSnapshot,
    key: bytes,
    *,
    limit: int,
) -> AsyncGenerator[Found, None]:
    """Yield up to `limit` values of a key up to a snapshot, newest first, one for each file.

    Raises RecordNotFound, DatasetWithoutRecords, and SnapshotNotFound if it is deleted meanwhile.
    """
    yielded, last = 0, _MAX_SEQUENCE
    for attempt in range(_ATTEMPTS):
        try:
            async with aclosing(_history(catalogs, snapshot, key)) as values:
                async for sequence, each in values:
                    # After a merge or a deletion, what is left of them has the same sequences.
                    if sequence < last:
                        yielded, last = yielded + 1, sequence
                        yield each
                    if yielded == limit:
                        break
        except BlobMissing:
            if attempt == _ATTEMPTS - 1:
                raise
            snapshot = await open_snapshot(resources, catalogs, tenant, snapshot.ref)
            continue
        break
    RECORDS_READ.labels("found" if yielded else "missing").inc()
    if not yielded:
        raise record_not_found(snapshot)


async def read_records(
    catalogs: Catalogs, snapshot: OpenSnapshot, *, first: int, count: int
) -> AsyncGenerator[bytes, None]:
    """Yield lines of a snapshot in the order of its files, from line `first` on.

    Raises DatasetWithoutRecords.
    """
    _require_records(snapshot.resolved)
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


async def _find(
    resources: Resources, catalogs: Catalogs, tenant: UUID, snapshot: OpenSnapshot, key: bytes
) -> tuple[Found | None, OpenSnapshot]:
    """Find a record, in the snapshot opened anew if a merge has deleted blobs meanwhile."""
    try:
        return await _newest(catalogs, snapshot, key), snapshot
    except BlobMissing:
        snapshot = await open_snapshot(resources, catalogs, tenant, snapshot.ref)
        return await _newest(catalogs, snapshot, key), snapshot


async def _newest(catalogs: Catalogs, snapshot: OpenSnapshot, key: bytes) -> Found | None:
    catalog = snapshot.catalog
    hit = await find_newest(
        catalogs.cache,
        key,
        catalog.segments,
        pointer=_pointer_of(snapshot),
        seed=HashSeed.of(snapshot.resolved.hash_seed),
        part_of=catalog.part_of(snapshot.number),
    )
    if hit is None:
        return None
    return Found(line=hit.line, snapshot=catalog.file_at(hit.sequence).added_in)


async def _history(
    catalogs: Catalogs, snapshot: OpenSnapshot, key: bytes
) -> AsyncGenerator[tuple[int, Found], None]:
    """Yield the values of a key up to a snapshot with their sequences, newest first."""
    catalog = snapshot.catalog
    last_file = None
    hits = find(
        catalogs.cache,
        key,
        catalog.segments,
        pointer=_pointer_of(snapshot),
        seed=HashSeed.of(snapshot.resolved.hash_seed),
        part_of=catalog.part_up_to(snapshot.number),
    )
    async with aclosing(hits):
        async for hit in hits:
            file = catalog.file_at(hit.sequence)
            # Within a file only the last record of a key counts.
            if file.id != last_file:
                last_file = file.id
                yield hit.sequence, Found(line=hit.line, snapshot=file.added_in)


def _pointer_of(snapshot: OpenSnapshot) -> Pointer:
    """Return where records have their key. Raises DatasetWithoutRecords."""
    resolved = snapshot.resolved
    _require_records(resolved)
    if resolved.key is None:
        raise DatasetWithoutRecords(
            f"the dataset {resolved.name!r} has no key; "
            f"GET /datasets/{resolved.name}/records?from=0 returns its lines"
        )
    return _parsed(resolved.key)


def _require_records(resolved: ResolvedSnapshot) -> None:
    if resolved.format is not Format.JSONL:
        name = resolved.name
        raise DatasetWithoutRecords(
            f"the dataset {name!r} has the format {resolved.format}, whose lines are no records; "
            f"GET /datasets/{name}/files/<path> with Range returns bytes of a file, and a run "
            "makes a dataset of records (POST /runs with `output`, `crivo run --output`)"
        )


# Thousands of requests a second have the same few pointers.
_parsed: Final = lru_cache(maxsize=256)(parse_pointer)


def _key_or_empty(text: bytes) -> bytes:
    try:
        return parse_key(text)
    except ValueError:
        return b""
