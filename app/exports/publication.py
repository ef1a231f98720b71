"""Copy the files of an export to its destination, and make them visible there at once.

In the folder `_crivo` of a destination are the manifest of what is published, `<export>.json`, and
while an export is being published what it will have written, `<export>.begun.json`. `_SUCCESS`
names the manifest. A step can be repeated: files have names of their export's own, and are whole
as soon as they are there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from app.blobs import Blobs
from app.exports import documents
from app.exports.concurrency import concurrently
from app.exports.documents import FOLDER, SUCCESS, Begun, FilePath, Success, begun_of, manifest_of
from app.exports.manifests import manifest_chunks, paged
from app.exports.model import ExportErrorKind, Manifest, ManifestFile
from app.exports.object_folder import (
    DestinationUnavailable,
    ForeignObject,
    ObjectFolder,
    replaced_meanwhile,
)
from app.exports.plan.model import TaskFailed
from app.exports.publish_store import NamedFile
from app.limits import MAX_DESTINATION_PATHS

log = structlog.get_logger(__name__)

_MANIFEST_PAGE: Final = 1_000


class Publication(Struct, frozen=True, kw_only=True):
    """What is to be published.

    `manifest` gets its files as it is written. `files` are all files of the export, in the order of
    their names; those with the stage `base` are there already. If it has `begun`, an attempt before
    this one may have copied some of it: nothing else makes what is there that of this export.
    """

    manifest: Manifest
    files: Sequence[NamedFile]
    begun: bool


async def publish(
    blobs: Blobs,
    folder: ObjectFolder,
    publication: Publication,
    *,
    begin: Callable[[], Awaitable[None]],
) -> None:
    """Copy files to a destination; once it returns, readers see all of them and no others.

    `begin` is called before anything is changed there. What it raises is passed on. Raises
    TaskFailed, DestinationUnavailable, BlobMissing, BlobsUnavailable.
    """
    await _Publisher(blobs, folder, publication).publish(begin)


class _Publisher:
    def __init__(self, blobs: Blobs, folder: ObjectFolder, publication: Publication) -> None:
        self._blobs = blobs
        self._folder = folder
        self._manifest = publication.manifest
        self._id = publication.manifest.export
        self._success = Success(export=self._id, manifest=manifest_of(self._id))
        self._has_begun = publication.begun
        self._files = publication.files
        self._new = [each for each in publication.files if each.file.stage != "base"]
        self._kept = [each for each in publication.files if each.file.stage == "base"]

    async def publish(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Take the steps in an order in which `_SUCCESS` never names what is not all there."""
        success = await documents.read_success(self._folder)
        if success == self._success:
            if self._has_begun and await self._is_there():
                # An attempt has published all: only the database does not know that.
                await self._folder.delete(begun_of(self._id))
                return
            success = None
        found = await documents.find_documents(self._folder)
        self._require_newest(found)
        await self._require_bounded(found)
        await concurrently(self._require_kept, self._kept)
        await begin()
        is_first = not self._has_begun or begun_of(self._id) not in found
        if is_first:
            # An export after this one deletes these, if this one fails.
            files = [FilePath(each.path) for each in self._new]
            await self._put(begun_of(self._id), Begun(success=success, files=files))
        try:
            await self._folder.delete(SUCCESS)
            await self._copy(is_first=is_first)
            await self._write_manifest()
        except TaskFailed:
            # With a manifest of its own, an attempt before may have begun to delete.
            if manifest_of(self._id) not in found:
                await self._restore()
            raise
        await self._delete_others(found)
        await self._put(SUCCESS, self._success)
        await self._folder.delete(begun_of(self._id))

    async def _is_there(self) -> bool:
        """Return whether `_SUCCESS`, which others can have written, names what is all there."""

        async def has_size(path: str, size: int) -> bool:
            return await self._folder.size(path) == size

        async def is_whole(file: NamedFile) -> bool:
            return await has_size(file.path, file.file.size_bytes)

        size = 0
        async for chunk in self._manifest_chunks():
            size += len(chunk)
        return await has_size(manifest_of(self._id), size) and all(
            await concurrently(is_whole, [*self._new, *self._kept])
        )

    def _require_newest(self, found: dict[str, UUID]) -> None:
        newer = [each for path, each in found.items() if path == manifest_of(each)]
        if newer and max(newer) > self._id:
            raise TaskFailed(
                ExportErrorKind.DESTINATION_REFUSED,
                f"{self._folder.url} has files of the newer export {max(newer)}",
            )

    async def _require_bounded(self, found: dict[str, UUID]) -> None:
        """Refuse to delete more than exports have written: it holds a slot, and does not end."""
        named = 0
        for path in self._documents_of_others(found):
            async for paths in documents.data_files_in(self._folder, path):
                named += len(paths)
                if named > MAX_DESTINATION_PATHS:
                    raise ForeignObject(
                        self._folder.url,
                        f"the documents in {FOLDER} name more than {MAX_DESTINATION_PATHS:,} files",
                    )

    def _documents_of_others(self, found: dict[str, UUID]) -> list[str]:
        return [
            path for path, export in found.items() if export != self._id and path.endswith(".json")
        ]

    async def _require_kept(self, file: NamedFile) -> None:
        """Check a file of the export that is continued, while what is published still is."""
        if await self._folder.size(file.path) != file.file.size_bytes:
            raise replaced_meanwhile(file.path)

    async def _copy(self, *, is_first: bool) -> None:
        async def copy(numbered: tuple[int, NamedFile]) -> None:
            number, each = numbered
            size = each.file.size_bytes
            if not is_first and await self._folder.size(each.path) == size:
                return
            staged = self._staged(number)
            await self._folder.write(each.path, self._content(each), staged=staged)
            found = await self._folder.size(each.path)
            if found != size:
                raise DestinationUnavailable(f"{each.path} has {found} bytes, not {size}")

        await concurrently(copy, enumerate(self._new))

    async def _write_manifest(self) -> None:
        path, staged = manifest_of(self._id), self._staged(len(self._new))
        await self._folder.write(path, self._manifest_chunks(), staged=staged)

    def _manifest_chunks(self) -> AsyncIterator[bytes]:
        pages = paged(map(_in_manifest, self._files), _MANIFEST_PAGE)
        return manifest_chunks(self._manifest, pages)

    async def _restore(self) -> None:
        """Leave what was published before, as long as the destination takes that.

        The next export deletes what is left here.
        """
        try:
            success = await documents.read_replaced(self._folder, self._id)
            await self._folder.delete(manifest_of(self._id))
            await concurrently(self._folder.delete, (each.path for each in self._new))
            await concurrently(self._folder.delete, await self._unfinished())
            if success is not None:
                await self._put(SUCCESS, success)
            await self._folder.delete(begun_of(self._id))
        except (TaskFailed, DestinationUnavailable) as error:
            log.warning("export.not_restored", destination=self._folder.url, reason=str(error))

    async def _unfinished(self) -> list[str]:
        """Return what attempts of this export have not given its name."""
        found = await documents.find_documents(self._folder)
        return [path for path, of in found.items() if of == self._id and not path.endswith(".json")]

    async def _content(self, file: NamedFile) -> AsyncIterator[bytes]:
        assert file.file.blob_key is not None  # noqa: S101 - only kept files have none
        async for chunk in self._blobs.read(file.file.blob_key):
            yield chunk

    async def _delete_others(self, found: dict[str, UUID]) -> None:
        """Delete what other exports have here that this one has not, their documents at last."""
        own = {each.path for each in self._files}
        left = MAX_DESTINATION_PATHS
        for path in self._documents_of_others(found):
            async for paths in documents.data_files_in(self._folder, path):
                # More were written since they were counted.
                await concurrently(self._folder.delete, sorted({*paths[:left]} - own))
                left -= len(paths[:left])
        others = [path for path, export in found.items() if export != self._id]
        # With those that an attempt of this export has left unfinished.
        unfinished = [path for path in found if not path.endswith(".json")]
        await concurrently(self._folder.delete, {*others, *unfinished})

    async def _put(self, path: str, document: Struct) -> None:
        staged = self._staged(len(self._new))
        await self._folder.put(path, msgspec.json.encode(document), staged=staged)

    def _staged(self, number: int) -> str:
        """Return where something is until it is whole: a later export finds it there."""
        return f"{FOLDER}/{self._id}-{number}"


def _in_manifest(named: NamedFile) -> ManifestFile:
    file = named.file
    return ManifestFile(
        path=named.path, rows=file.rows, bytes=file.size_bytes, sha256=file.sha256.hex()
    )
