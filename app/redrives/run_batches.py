"""Try a batch of a run's failed records, and publish it in one transaction with its marks."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from app.datasets import store as dataset_store
from app.datasets.model import Mode
from app.datasets.parts import ObjectCache
from app.datasets.store import LockedDataset
from app.datasets.upload_store import counted_bytes, insert_part, require_stored_bytes
from app.db import Connection
from app.errors import InvalidRequest
from app.metrics import SNAPSHOTS_PUBLISHED
from app.quotas.errors import QuotaExceeded
from app.redrives import lease_store, run_store
from app.redrives.model import ClaimedRedrive, RetryFailure, Tally
from app.redrives.run_lines import LOST, place_of, read_record
from app.redrives.run_mapping import Mapped, Mapper, map_records
from app.redrives.run_store import MAX_BYTES, MAX_RECORDS, FailedRecord
from app.redrives.trouble import CannotGoOn, MarksChanged, MustWait
from app.resources import Resources
from app.runs.publication import begin_upload, publish_upload
from app.runs.task_store import Written

# After so long a batch is recorded as far as it has come.
_BATCH_SECONDS: Final = 30.0
# Of lines that the run has not kept, each of which may be in another part of the dataset.
_READ_SECONDS: Final = 10.0
_QUOTA_SECONDS: Final = 60.0


async def try_batch(
    resources: Resources, cache: ObjectCache, claimed: ClaimedRedrive
) -> Tally | None:
    """Try the next records; None: none is left.

    Raises LeaseLost, MarksChanged, CannotGoOn, MustWait, HOST_TROUBLE.
    """
    mapper, marked = await _read(resources, claimed)
    if not marked:
        return None
    batch = _Batch(claimed, mapper)
    await batch.read(cache, marked)
    records = [line for _, line in batch.whole]
    mapped = await map_records(resources, mapper, records, seconds=_BATCH_SECONDS)
    try:
        tally = await batch.record(resources, mapped)
    finally:
        await asyncio.shield(mapped.discard(resources))
    if mapped.written:
        SNAPSHOTS_PUBLISHED.inc()
    return tally


async def _read(
    resources: Resources, claimed: ClaimedRedrive
) -> tuple[Mapper, Sequence[FailedRecord]]:
    assert claimed.run_id is not None  # noqa: S101 - it is of a run
    assert claimed.script_id is not None  # noqa: S101 - a run has a version
    assert claimed.script_version is not None  # noqa: S101 - a run has a version
    tenant = claimed.tenant_id
    async with resources.pool.acquire() as conn:
        run = await run_store.select_run(conn, tenant, claimed.run_id)
        if run is None:
            raise CannotGoOn("the run has been deleted, with its failed records")
        if run.output_format is None:
            raise CannotGoOn(f"the dataset {run.output_dataset!r} has been deleted")
        version = await run_store.select_version(
            conn, tenant, claimed.script_id, claimed.script_version
        )
        marked = await run_store.select_marked(conn, tenant, claimed.id, limit=MAX_RECORDS)
    return Mapper(tenant=tenant, redrive_id=claimed.id, run=run, version=version), marked


class _Batch:
    """Records in the order of the input, each with its line, or without one."""

    def __init__(self, claimed: ClaimedRedrive, mapper: Mapper) -> None:
        self.whole: list[tuple[FailedRecord, bytes]] = []
        self._lost: list[FailedRecord] = []
        self._claimed = claimed
        self._mapper = mapper

    async def read(self, cache: ObjectCache, marked: Sequence[FailedRecord]) -> None:
        """Read the lines of records, as many as fit into memory and time, and one at least."""
        time = asyncio.get_running_loop().time
        size_bytes, until = 0, time() + _READ_SECONDS
        for each in marked:
            if (self.whole or self._lost) and time() >= until:
                break
            line = await read_record(cache, each)
            if line is None:
                self._lost.append(each)
                continue
            size_bytes += len(line)
            if self.whole and size_bytes > MAX_BYTES:
                break
            self.whole.append((each, line))

    async def record(self, resources: Resources, mapped: Mapped) -> Tally:
        """Publish what was mapped and mark what was tried, or neither."""
        claimed = self._claimed
        tally = self._tally(mapped)
        tried = [
            (each, number not in mapped.errors)
            for number, (each, _) in enumerate(self.whole[: mapped.tried])
        ]
        tried += [(each, False) for each in self._lost]
        async with resources.pool.acquire() as conn, conn.transaction():
            # Locks in one order everywhere: docs/design/storage.md.
            await lease_store.lock_leased(conn, claimed)
            dataset = await self._lock_dataset(conn) if mapped.written else None
            marked = await run_store.mark_tried(conn, claimed.tenant_id, claimed.id, tried)
            if marked != len(tried):
                # Deleted with the run, or those of another re-drive since a cancellation.
                raise MarksChanged("the failed records are no longer this re-drive's")
            if dataset is not None:
                await self._publish(conn, dataset, mapped.written)
            await lease_store.count_batch(conn, claimed, tally)
            # From here on it may be committed, whatever the end of this block raises. If it is not,
            # retention deletes the blobs.
            mapped.published = True
        return tally

    def _tally(self, mapped: Mapped) -> Tally:
        failures = [
            RetryFailure(id=place_of(self.whole[number][0]), error=Raw(error))
            for number, error in sorted(mapped.errors.items())
        ]
        failures += [RetryFailure(id=place_of(each), error=Raw(LOST)) for each in self._lost]
        return Tally(
            moved=mapped.tried - len(mapped.errors),
            failed_again=len(mapped.errors),
            left_out=len(self._lost),
            failures=tuple(failures),
        )

    async def _lock_dataset(self, conn: Connection) -> LockedDataset:
        """Lock the dataset that takes the values. Raises CannotGoOn."""
        run = self._mapper.run
        assert run.output_dataset_id is not None  # noqa: S101 - it has an output
        dataset = await dataset_store.lock_dataset(
            conn, self._claimed.tenant_id, run.output_dataset_id
        )
        if dataset is None:
            raise CannotGoOn(f"the dataset {run.output_dataset!r} has been deleted")
        return dataset

    async def _publish(
        self, conn: Connection, dataset: LockedDataset, written: Sequence[Written]
    ) -> None:
        """Append a file of the values as the next snapshot. Raises CannotGoOn, MustWait."""
        await _require_room(conn, self._claimed, written)
        path = f"redrives/{self._claimed.id}/{dataset.last_snapshot + 1}.jsonl"
        number = await _append(conn, self._claimed, dataset, path, written)
        await lease_store.name_output(conn, self._claimed, dataset.name, number)


async def _append(
    conn: Connection,
    claimed: ClaimedRedrive,
    dataset: LockedDataset,
    path: str,
    written: Sequence[Written],
) -> int:
    tenant = claimed.tenant_id
    upload_id, [file_id] = await begin_upload(conn, tenant, dataset, [path], mode=Mode.APPEND)
    for number, each in enumerate(written, start=1):
        await insert_part(conn, tenant, file_id, number=number, part=each.part, keys=each.keys)
    try:
        return await publish_upload(
            conn, tenant, dataset, upload_id, {file_id: path}, mode=Mode.APPEND
        )
    except InvalidRequest as error:
        raise CannotGoOn(f"the dataset {dataset.name!r} cannot take the file: {error}") from None


async def _require_room(
    conn: Connection, claimed: ClaimedRedrive, written: Sequence[Written]
) -> None:
    stored_bytes = counted_bytes(each.part for each in written)
    try:
        await require_stored_bytes(conn, claimed.tenant_id, stored_bytes)
    except QuotaExceeded as error:
        raise MustWait(f"the values do not fit: {error}", seconds=_QUOTA_SECONDS) from None
