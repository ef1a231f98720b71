"""Copy the files of an export to its destination, and make them visible there at once.

In the folder `_crivo` of a destination are the manifest of what is published, `<export>.json`, and
while an export is being published what it will have written, `<export>.begun.json`. `_SUCCESS`
names the manifest. A step can be repeated: files have names of their export's own, and are whole
as soon as they are there.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from app.blobs import Blobs
from app.exports.manifests import manifest_chunks, paged
from app.exports.model import ExportErrorKind, Manifest, ManifestFile
from app.exports.object_folder import DestinationUnavailable, ObjectFolder, replaced_meanwhile
from app.exports.plan.model import TaskFailed
from app.exports.publish_store import NamedFile
from app.exports.turns import in_turns

log = structlog.get_logger(__name__)

_SUCCESS: Final = "_SUCCESS"
_FOLDER: Final = "_crivo"
_MANIFEST_PAGE: Final = 1_000
_DOCUMENT: Final = re.compile(
    r"(?P<export>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<kind>\.json|\.begun\.json|-\d+)"
)
# Nothing else is deleted, whatever a document says that others could have changed.
_DATA: Final = re.compile(r"(?!/)(?!(.*/)?\.\.?/)[^\x00]+\.parquet", re.DOTALL)


class Success(Struct, frozen=True, kw_only=True):
    """The content of `_SUCCESS`: what is published, and where its manifest is."""

    export: UUID
    manifest: str


class _Paths(Struct, frozen=True):
    path: str


class _Files(Struct, frozen=True):
    """What is read of the documents of other exports."""

    files: Sequence[_Paths] = ()


class _Begun(_Files, frozen=True):
    """What an export will have written, and the `_SUCCESS` that it takes away."""

    success: bytes | None = None


class Publication(Struct, frozen=True, kw_only=True):
    """What is to be published; an attempt before this one may have copied some of it.

    `manifest` gets its files as it is written. `files` are all files of the export, in the order of
    their names; those with the stage `base` are there already.
    """

    manifest: Manifest
    files: Sequence[NamedFile]


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
        self._success = Success(export=self._id, manifest=_manifest_of(self._id))
        self._files = publication.files
        self._new = [each for each in publication.files if each.file.stage != "base"]
        self._kept = [each for each in publication.files if each.file.stage == "base"]

    async def publish(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Take the steps in an order in which `_SUCCESS` never names what is not all there."""
        success = await self._read(_SUCCESS)
        if success == msgspec.json.encode(self._success):
            # An attempt has published all: only the database does not know that.
            await self._folder.delete(_begun_of(self._id))
            return
        documents = await self._documents()
        self._require_newest(documents)
        await in_turns(self._require_kept, self._kept)
        await begin()
        is_first = _begun_of(self._id) not in documents
        if is_first:
            # An export after this one deletes these, if this one fails.
            files = [_Paths(each.path) for each in self._new]
            await self._put(_begun_of(self._id), _Begun(files, success=success))
        try:
            await self._folder.delete(_SUCCESS)
            await self._copy(is_first=is_first)
            await self._write_manifest()
        except TaskFailed:
            # With a manifest of its own, an attempt before may have begun to delete.
            if _manifest_of(self._id) not in documents:
                await self._restore()
            raise
        await self._delete_others(documents)
        await self._put(_SUCCESS, self._success)
        await self._folder.delete(_begun_of(self._id))

    async def _documents(self) -> dict[str, UUID]:
        """Return the objects in the folder for documents, and the exports that they are of."""
        found = (_DOCUMENT.fullmatch(each) for each in await self._folder.names(_FOLDER))
        return {f"{_FOLDER}/{each[0]}": UUID(each["export"]) for each in found if each is not None}

    def _require_newest(self, documents: dict[str, UUID]) -> None:
        newer = [each for path, each in documents.items() if path == _manifest_of(each)]
        if newer and max(newer) > self._id:
            raise TaskFailed(
                ExportErrorKind.DESTINATION_REFUSED,
                f"{self._folder.url} has files of the newer export {max(newer)}",
            )

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
            staged = f"{_FOLDER}/{self._id}-{number}"
            await self._folder.write(each.path, self._content(each), staged=staged)
            found = await self._folder.size(each.path)
            if found != size:
                raise DestinationUnavailable(f"{each.path} has {found} bytes, not {size}")

        await in_turns(copy, list(enumerate(self._new)))

    async def _write_manifest(self) -> None:
        pages = paged(map(_in_manifest, self._files), _MANIFEST_PAGE)
        chunks = manifest_chunks(self._manifest, pages)
        staged = f"{_FOLDER}/{self._id}-{len(self._new)}"
        await self._folder.write(_manifest_of(self._id), chunks, staged=staged)

    async def _restore(self) -> None:
        """Leave what was published before, as long as the destination takes that.

        The next export deletes what is left here.
        """
        try:
            begun = await self._read(_begun_of(self._id))
            if begun is None:
                return
            success = msgspec.json.decode(begun, type=_Begun).success
            await self._folder.delete(_manifest_of(self._id))
            await in_turns(self._folder.delete, [each.path for each in self._new])
            if success is not None:
                await self._folder.put(_SUCCESS, success)
            await self._folder.delete(_begun_of(self._id))
        except (TaskFailed, DestinationUnavailable, msgspec.MsgspecError) as error:
            log.warning("export.not_restored", destination=self._folder.url, reason=str(error))

    async def _content(self, file: NamedFile) -> AsyncIterator[bytes]:
        assert file.file.blob_key is not None  # noqa: S101 - only kept files have none
        async for chunk in self._blobs.read(file.file.blob_key):
            yield chunk

    async def _delete_others(self, documents: dict[str, UUID]) -> None:
        """Delete what other exports have here that this one has not, their documents at last."""
        own = {each.path for each in self._files}
        others = [path for path, export in documents.items() if export != self._id]
        for path in others:
            content = await self._read(path) if path.endswith(".json") else None
            if content is not None:
                await in_turns(self._folder.delete, sorted(self._data(path, content) - own))
        # With those that an attempt of this export has left unfinished.
        unfinished = [path for path in documents if not path.endswith(".json")]
        await in_turns(self._folder.delete, list({*others, *unfinished}))
        await self._folder.delete_unlisted(_SUCCESS, f"{_FOLDER}/*")

    def _data(self, path: str, content: bytes) -> set[str]:
        """Return the paths of the data files that a document names."""
        try:
            files = msgspec.json.decode(content, type=_Files).files
        except msgspec.MsgspecError:
            log.warning("export.foreign_document", destination=self._folder.url, path=path)
            return set()
        return {each.path for each in files if _DATA.fullmatch(each.path)}

    async def _read(self, path: str) -> bytes | None:
        try:
            return b"".join([chunk async for chunk in self._folder.read(path)])
        except FileNotFoundError:
            return None

    async def _put(self, path: str, document: Struct) -> None:
        await self._folder.put(path, msgspec.json.encode(document))


def _in_manifest(named: NamedFile) -> ManifestFile:
    file = named.file
    return ManifestFile(
        path=named.path, rows=file.rows, bytes=file.size_bytes, sha256=file.sha256.hex()
    )


def _manifest_of(export: UUID) -> str:
    return f"{_FOLDER}/{export}.json"


def _begun_of(export: UUID) -> str:
    return f"{_FOLDER}/{export}.begun.json"
