"""Datasets of a test without an API: its pool, its blob store, and what both hold."""

import hashlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Final, cast
from uuid import UUID

from msgspec.structs import replace

from app.auth.callers import Caller
from app.blobs import Blobs, open_blobs
from app.datasets import file_service, publishing, service, upload_service
from app.datasets.catalog import Catalogs
from app.datasets.file_store import ByteSpan
from app.datasets.model import CommitFile, CreateUpload, Mode, PutDataset, Snapshot
from app.datasets.parts import ObjectCache
from app.datasets.refs import DatasetRef
from app.datasets.upload_service import Part
from app.db import Pool
from app.keys.bootstrap import operator
from app.limits import MAX_PARTS_AT_ONCE
from app.preconditions import NO_PRECONDITIONS
from app.quotas.model import Caps
from app.quotas.turns import TenantTurns
from app.resources import Resources
from app.settings import Settings

NAME: Final = "scores"


class Datasets:
    """The services of datasets, for the operator's tenant."""

    def __init__(self, pool: Pool, settings: Settings, caps: Caps | None = None) -> None:
        self.pool = pool
        self.blobs: Blobs = open_blobs(settings)
        # The services take no more of the resources.
        members = SimpleNamespace(pool=pool, blobs=self.blobs, settings=settings)
        self.resources = cast("Resources", members)
        self.caller: Caller = operator()
        self.caller.caps = caps or Caps()
        self.turns = TenantTurns(max_per_tenant=MAX_PARTS_AT_ONCE)
        self.catalogs = Catalogs(pool, ObjectCache(self.blobs, max_bytes=2**20))

    async def create(self, **members: int) -> None:
        wanted = replace(PutDataset(key="/pk"), **members)
        await service.put(self.resources, self.caller, NAME, wanted, preconditions=NO_PRECONDITIONS)

    async def begin(self, mode: Mode = Mode.APPEND) -> UUID:
        wanted = CreateUpload(mode=mode)
        return (await upload_service.begin(self.resources, self.caller, NAME, wanted)).id

    async def send(self, upload: UUID, path: str, number: int, content: bytes) -> bool:
        part = Part(path=path, number=number, data=chunks(content))
        _, is_new = await upload_service.receive_part(
            self.resources, self.caller, upload, part, turns=self.turns
        )
        return is_new

    async def commit(self, upload: UUID, **files: list[bytes]) -> Snapshot:
        named = [
            CommitFile(path=path, parts=len(parts), digest=digest_of(*parts))
            for path, parts in files.items()
        ]
        _, snapshot, _ = await publishing.commit(self.resources, self.caller, upload, named)
        return snapshot

    async def put(self, path: str, content: bytes) -> int:
        part = Part(path=path, number=1, data=chunks(content))
        published = await file_service.receive_file(
            self.resources, self.caller, NAME, part, turns=self.turns
        )
        return published.snapshot.number

    async def read(self, path: str, snapshot: int | None = None) -> bytes:
        ref = DatasetRef(name=NAME, snapshot=snapshot)
        file = await file_service.find_file(self.resources, self.caller.tenant, ref, path)
        span = ByteSpan(start=0, end=file.raw_bytes)
        read = file_service.read_file(
            self.resources, self.catalogs.cache, self.caller.tenant, file.id, span
        )
        return b"".join([chunk async for chunk in read])

    async def delete(self) -> None:
        await service.delete(self.resources, self.caller, NAME)

    def blob_keys(self) -> set[str]:
        """Return the keys of all blobs in the store."""
        assert self.blobs.folder is not None
        paths = [path for path in self.blobs.folder.rglob("*") if path.is_file()]
        names = {str(path.relative_to(self.blobs.folder)) for path in paths}
        return names - {"installation"}

    async def referenced_keys(self) -> set[str]:
        """Return the keys of all blobs that rows name."""
        rows = await self.pool.fetch(
            "SELECT blob_key FROM dataset_parts UNION ALL SELECT index_key FROM dataset_parts "
            "WHERE index_key IS NOT NULL UNION ALL SELECT blob_key FROM dataset_segments"
        )
        return {row["blob_key"] for row in rows}

    async def usage(self) -> tuple[int, int]:
        """Return the bytes that count as stored, and those of the parts that rows name."""
        row = await self.pool.fetchrow(
            """
            SELECT (SELECT coalesce(sum(stored_bytes), 0)::bigint FROM tenant_usage) AS counted,
                   (SELECT coalesce(sum(greatest(stored_bytes + index_bytes, 4096)), 0)::bigint
                    FROM dataset_parts) AS held
            """
        )
        assert row is not None
        return row["counted"], row["held"]


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


def digest_of(*parts: bytes) -> str:
    """Return the digest of a file with these parts."""
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(digests).hexdigest()


def lines(*keys: object, value: int = 0) -> bytes:
    """Return lines with string keys."""
    return b"".join(b'{"pk":"%b","v":%d}\n' % (str(key).encode(), value) for key in keys)
