"""Use a folder of a bucket as a destination."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import obstore
from obstore.store import ObjectStore, from_url
from typing_extensions import override

from app.exports.object_folder import (
    OUTAGES,
    ObjectFolder,
    deleted_meanwhile,
    refused,
    translating,
)
from app.limits import MAX_KEY_BYTES, MIB
from app.settings import Settings
from app.stored_objects import read_object

_RETRIES: Final = 5
_RETRY_TIMEOUT: Final = timedelta(seconds=15)
# S3 takes 10,000 parts of an object at most.
_PART_BYTES: Final = 8 * MIB
_CONCURRENT_PARTS: Final = 2
_PAGE: Final = 1_000
# What S3 says of an upload in parts that others have ended.
_NO_UPLOAD: Final = "NoSuchUpload"


class BucketFolder(ObjectFolder):
    """Objects by their keys below a prefix; each is there when it is whole."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Use a destination with the credentials of this process. Raises ValueError."""
        super().__init__(url)
        endpoint = settings.export_s3_endpoint
        self._store: ObjectStore = from_url(
            url,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={"allow_http": True} if endpoint.startswith("http:") else {},
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
        )

    @override
    async def size(self, path: str) -> int | None:
        with translating(self.url):
            try:
                return (await obstore.head_async(self._store, path))["size"]
            except FileNotFoundError:
                return None

    @override
    async def sizes(self, folder: str, *, most: int) -> dict[str, int] | None:
        sizes: dict[str, int] = {}
        found = 0
        pages = aiter(obstore.list(self._store, folder, chunk_size=_PAGE))
        while True:
            with translating(self.url):
                page = await anext(pages, None)
            if page is None:
                return sizes
            found += len(page)
            if found > most:
                return None
            for each in page:
                name = each["path"].removeprefix(f"{folder}/")
                if "/" not in name:
                    sizes[name] = each["size"]

    @override
    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(read_object(self._store, path)) as chunks:
            while True:
                with translating(self.url):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk

    @override
    async def put(self, path: str, content: bytes, *, staged: str) -> None:
        with translating(self.url):
            await self._require_bucket(obstore.put_async(self._store, path, content))
        OUTAGES.worked(self.url)

    @override
    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        with translating(self.url):
            await self._require_bucket(
                obstore.put_async(
                    self._store,
                    path,
                    chunks,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_CONCURRENT_PARTS,
                )
            )
        OUTAGES.worked(self.url)

    @override
    async def delete(self, path: str) -> None:
        if self._has_key(path):
            with translating(self.url), suppress(FileNotFoundError):
                await obstore.delete_async(self._store, path)

    def _has_key(self, path: str) -> bool:
        key = f"{urlsplit(self.url).path.strip('/')}/{path}".lstrip("/")
        return len(key.encode()) <= MAX_KEY_BYTES

    async def _require_bucket(self, writing: Awaitable[object]) -> None:
        """Wait for a request that is refused if there is no bucket."""
        try:
            await writing
        except FileNotFoundError as error:
            if _NO_UPLOAD in str(error):
                raise deleted_meanwhile(self.url) from error
            raise refused(self.url, "there is no such bucket", error) from error
