"""Use a folder that is mounted, a path of every worker's, as a destination."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from typing_extensions import override

from app.exports.folder_tree import FolderTree, ForeignKind, RootGone
from app.exports.hanging_calls import Hangs, call_in_thread
from app.exports.object_folder import (
    OUTAGES,
    DestinationUnavailable,
    ForeignObject,
    ObjectFolder,
    deleted_meanwhile,
    translating,
)
from app.limits import DESTINATION_SYNC_BYTES, MIB

FILE: Final = "file://"
_CHUNK_BYTES: Final = 1 * MIB

T = TypeVar("T")


class MountedFolder(ObjectFolder):
    """Files by their paths below a folder."""

    def __init__(self, url: str, root: str) -> None:
        """Take URLs of a folder and of the operator's part of it, which must be there."""
        super().__init__(url)
        names = url.removeprefix(root).strip("/").split("/")
        # The tenant's folder can be a file system of its own, which hangs alone.
        self._place = f"{root}/{names[0]}"
        path = Path(root.removeprefix(FILE) or "/")
        self._tree = FolderTree(path, names, place=self._place)

    async def open(self) -> None:
        """Require that the operator's part is there. Raises DestinationUnavailable, TaskFailed."""
        await self._call(self._tree.open_root)

    @override
    async def size(self, path: str) -> int | None:
        return await self._call(partial(self._tree.size, path))

    @override
    async def sizes(self, folder: str, *, most: int) -> dict[str, int] | None:
        return await self._call(partial(self._tree.sizes, folder, most=most))

    @override
    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        file = await self._call(partial(self._tree.open, path))
        while chunk := await self._call(partial(file.read, _CHUNK_BYTES)):
            yield chunk
        await self._call(file.close)

    @override
    async def put(self, path: str, content: bytes, *, staged: str) -> None:
        await self._call_writing(partial(self._tree.put, path, content, staged=staged))
        OUTAGES.worked(self.url)

    @override
    async def write(self, path: str, chunks: AsyncIterator[bytes], *, staged: str) -> None:
        file = await self._call_writing(partial(self._tree.create, staged))
        written = 0
        async for chunk in chunks:
            await self._call_writing(partial(file.write, chunk))
            written += len(chunk)
            if written >= DESTINATION_SYNC_BYTES:
                # All of a large file at its end could take longer than a call may.
                await self._call_writing(file.synchronize)
                written = 0
        await self._call_writing(partial(self._tree.publish, file, staged, path))
        OUTAGES.worked(self.url)

    @override
    async def delete(self, path: str) -> None:
        await self._call(partial(self._tree.delete, path))

    async def _call_writing(self, call: Callable[[], T]) -> T:
        try:
            return await self._call(call)
        except FileNotFoundError as error:
            # The file or its folder, which were there or have been made.
            raise deleted_meanwhile(self.url) from error

    async def _call(self, call: Callable[[], T]) -> T:
        with translating(self.url):
            try:
                return await call_in_thread(self._place, call)
            except ForeignKind as error:
                raise ForeignObject(self.url, str(error)) from None
            except (Hangs, RootGone) as error:
                OUTAGES.failed(self.url, str(error))
                raise DestinationUnavailable(f"{self.url} cannot be used: {error}") from error
