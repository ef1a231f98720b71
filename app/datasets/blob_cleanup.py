"""Delete the blobs of parts and indexes that no row references any more."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.blobs import Blobs
from app.outages import BlobsUnavailable

# Folders of the blobs, in keys `<tenant>/<folder>/<id>`.
PART_FOLDER: Final = "datasets"
INDEX_FOLDER: Final = "indexes"

_CONCURRENT: Final = 16


def new_part_key(tenant: UUID) -> str:
    """Return a key for the blob of a part."""
    return part_key(tenant, uuid.uuid7())


def part_key(tenant: UUID, part_id: UUID) -> str:
    """Return the key of a part's blob."""
    return f"{tenant}/{PART_FOLDER}/{part_id}"


def new_index_key(tenant: UUID) -> str:
    """Return a key for the blob of an index."""
    return f"{tenant}/{INDEX_FOLDER}/{uuid.uuid7()}"


async def delete_blobs(blobs: Blobs, keys: Sequence[str]) -> None:
    """Delete blobs, after the commit that removes their rows.

    Retention deletes later what the store cannot delete now.
    """
    for start in range(0, len(keys), _CONCURRENT):
        async with asyncio.TaskGroup() as tasks:
            for key in keys[start : start + _CONCURRENT]:
                tasks.create_task(_delete(blobs, key))


async def _delete(blobs: Blobs, key: str) -> None:
    with suppress(BlobsUnavailable):
        await blobs.delete(key)
