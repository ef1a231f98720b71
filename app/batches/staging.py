"""Receive the inputs of a batch and stage them, in constant memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.batches.framing import Fragment, Framer
from app.batches.problems import EmptyBatch, TooManyItems
from app.batches.staging_store import StagedInput, delete_upload, stage_inputs
from app.execution_errors import ErrorKind, error_document
from app.executions.acceptance import require_room
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.payloads.writer import PayloadWriter, stored_inline
from app.quotas.model import Caps
from app.resources import Resources

# Uploads of batches at once at one API process: each may stage as much as a batch may hold.
MAX_UPLOADS_OF_TENANT: Final = 8
# What is held in memory until it is staged: whichever comes first.
_MAX_INPUTS: Final = 1_000
_MAX_BYTES: Final = 1024 * 1024
# Bounds for how long the division of a chunk holds the event loop.
_SLICE_BYTES: Final = 8 * 1024
_INPUTS_IN_A_ROW: Final = 128


class Upload:
    """The inputs of one batch, as they are staged."""

    def __init__(self, resources: Resources, tenant: UUID, *, caps: Caps) -> None:
        """Start without inputs; refuse what exceeds `caps`."""
        self.id: UUID = uuid.uuid7()
        self.items = 0
        # From then on it may be accepted.
        self.is_complete = False
        self._resources = resources
        self._tenant = tenant
        self._caps = caps
        self._size_bytes = 0
        self._inputs: list[StagedInput] = []
        self._bytes = 0
        self._blob_keys: list[str] = []
        self._long: _LongInput | None = None
        self._is_staged = False
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        """Return the hash of the decompressed body."""
        return self._sha256.digest()

    async def receive(self, data: AsyncIterator[bytes], framer: Framer) -> None:
        """Stage all inputs.

        Raises TooManyItems, EmptyBatch, QuotaExceeded, and what `data` and `framer` raise.
        """
        async for chunk in data:
            self._sha256.update(chunk)
            for start in range(0, len(chunk), _SLICE_BYTES):
                for fragment in framer.feed(chunk[start : start + _SLICE_BYTES]):
                    await self._add(fragment)
                # Other requests go on meanwhile.
                await asyncio.sleep(0)
        for fragment in framer.end():
            await self._add(fragment)
        if not self.items:
            raise EmptyBatch("the body has no input: send one on each line, or in a JSON array")
        await self._flush()
        self.is_complete = True

    async def drop(self) -> None:
        """Delete what is staged; what cannot be deleted now is found later, by its age."""
        if self._long is not None:
            await self._long.abort()
        if self._is_staged:
            with suppress(DatabaseUnavailable):
                async with self._resources.pool.acquire() as conn:
                    await delete_upload(conn, self._tenant, self.id)
        if self._blob_keys:
            with suppress(BlobsUnavailable):
                await self._resources.blobs.delete(*self._blob_keys)

    async def _add(self, fragment: Fragment) -> None:
        if self._long is None and fragment.last:
            await self._stage(StagedInput(fragment.line, stored_inline(fragment.data)))
            return
        if self._long is None:
            self._long = _LongInput(self._resources, self._tenant, fragment.line)
            await self._long.open()
        await self._long.write(fragment.data)
        if fragment.last:
            long, self._long = self._long, None
            await self._stage(await long.close())

    async def _stage(self, staged: StagedInput) -> None:
        limit = self._resources.settings.max_batch_items
        if self.items >= limit:
            raise TooManyItems(f"line {staged.line}: the batch has more than {limit} inputs")
        self.items += 1
        if self.items % _INPUTS_IN_A_ROW == 0:
            await asyncio.sleep(0)
        self._inputs.append(staged)
        if staged.payload.blob_key is not None:
            self._blob_keys.append(staged.payload.blob_key)
        self._bytes += len(staged.payload.body or b"")
        self._size_bytes += staged.payload.size_bytes
        if len(self._inputs) >= _MAX_INPUTS or self._bytes >= _MAX_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        inputs, self._inputs, self._bytes = self._inputs, [], 0
        if inputs:
            self._is_staged = True
            # No connection is held while the client sends, however slowly.
            async with self._resources.pool.acquire() as conn:
                # The acceptance counts exactly; a tenant over a quota must not stage all before.
                await require_room(conn, self._tenant, size_bytes=self._size_bytes, caps=self._caps)
                await stage_inputs(conn, self._tenant, self.id, inputs)


class _LongInput:
    """An input that arrives in several fragments, and is stored where its size belongs."""

    def __init__(self, resources: Resources, tenant: UUID, line: int) -> None:
        self._line = line
        self._limit = min(resources.settings.max_input_bytes, resources.settings.max_batch_bytes)
        self._size = 0
        self._writer = PayloadWriter(resources.blobs, f"{tenant}/inputs/{uuid.uuid7()}")
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        await self._stack.enter_async_context(self._writer)

    async def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            await self._writer.write(data)

    async def abort(self) -> None:
        with suppress(_Abort):
            async with self._stack:
                raise _Abort

    async def close(self) -> StagedInput:
        if self._size > self._limit:
            await self.abort()
            message = (
                f"line {self._line}: the input has {self._size} bytes; the limit is {self._limit}"
            )
            error = error_document(ErrorKind.INVALID_INPUT, message, limit_bytes=self._limit)
            return StagedInput(self._line, stored_inline(b""), error)
        await self._stack.aclose()
        return StagedInput(self._line, self._writer.stored())


class _Abort(Exception):
    """Makes a writer discard what it has written; never leaves this module."""


@asynccontextmanager
async def received(
    resources: Resources,
    tenant: UUID,
    data: AsyncIterator[bytes],
    framer: Framer,
    *,
    caps: Caps,
) -> AsyncIterator[Upload]:
    """Stage an upload, to be accepted within the block; if it is not, nothing stays.

    After DatabaseUnavailable it stays: the acceptance may have been committed before the connection
    broke. An acceptance that was not is found by the age of what is staged.
    """
    upload = Upload(resources, tenant, caps=caps)
    try:
        await upload.receive(data, framer)
        yield upload
    except DatabaseUnavailable:
        raise
    except Exception:
        await upload.drop()
        raise
    except BaseException:
        # A cancelled acceptance may have been committed.
        if not upload.is_complete:
            await asyncio.shield(upload.drop())
        raise
