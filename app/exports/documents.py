"""Read and write what Crivo keeps at a destination beside the files: `_SUCCESS` and `_crivo`.

Others can have written it. It is never read as a whole, and what it says is only believed if it
has the form that Crivo gives it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.exports.object_folder import ForeignObject, ObjectFolder
from app.exports.plan.hive import MAX_FOLDER_BYTES
from app.limits import (
    KIB,
    MAX_DESTINATION_DOCUMENTS,
    MAX_DESTINATION_DOCUMENTS_BYTES,
    MAX_EXPORT_LEVELS,
    MAX_SUCCESS_BYTES,
    MIB,
)

SUCCESS: Final = "_SUCCESS"
FOLDER: Final = "_crivo"
_DOCUMENT: Final = re.compile(
    r"(?P<export>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<kind>\.json|\.begun\.json|-\d+)"
)
# The folders and the name of a file of an export, as Hive and `completion` write them.
_LETTER: Final = r"[^\x00-\x1f\x7f\"#'*/:=?\\{\[\]^]"
_DATA_FILE: Final = re.compile(
    rf"(?:{_LETTER}+={_LETTER}+/){{0,{MAX_EXPORT_LEVELS}}}[0-9a-f]{{12}}-[0-9]{{1,10}}\.parquet"
)
_PATH: Final = re.compile(rb'"path" ?: ?("(?:[^"\\\x00-\x1f]|\\.)*+")')
# Of a path in JSON.
_LONGEST_PATH: Final = 8 * KIB
_REPLACED: Final = re.compile(rb'\{"success":(\{[^{}]*\})')


class Success(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `_SUCCESS`: what is published, and where its manifest is."""

    export: UUID
    manifest: str


class FilePath(Struct, frozen=True):
    """A file by its path below the destination."""

    path: str


class Begun(Struct, frozen=True, kw_only=True):
    """What an export will have written, and the `_SUCCESS` that it takes away."""

    success: Success | None
    files: Sequence[FilePath]


def manifest_of(export: UUID) -> str:
    """Return where the manifest of an export is."""
    return f"{FOLDER}/{export}.json"


def begun_of(export: UUID) -> str:
    """Return where it says what an export will have written."""
    return f"{FOLDER}/{export}.begun.json"


async def find_documents(folder: ObjectFolder) -> dict[str, UUID]:
    """Return the objects in the folder for documents, and the exports that they are of.

    Raises ForeignObject if they are more than Crivo can have written.
    """
    sizes = await folder.sizes(FOLDER, most=MAX_DESTINATION_DOCUMENTS)
    if sizes is None:
        raise ForeignObject(
            folder.url, f"{FOLDER} has more than {MAX_DESTINATION_DOCUMENTS:,} objects"
        )
    documents = [each for each in map(_DOCUMENT.fullmatch, sizes) if each is not None]
    # Parts of files are not read.
    read_bytes = sum(sizes[each[0]] for each in documents if each["kind"].endswith(".json"))
    if read_bytes > MAX_DESTINATION_DOCUMENTS_BYTES:
        most = MAX_DESTINATION_DOCUMENTS_BYTES // MIB
        raise ForeignObject(folder.url, f"the documents in {FOLDER} have more than {most} MiB")
    return {f"{FOLDER}/{each[0]}": UUID(each["export"]) for each in documents}


async def read_success(folder: ObjectFolder) -> Success | None:
    """Return what is published; None without `_SUCCESS`, or with that of another program.

    Raises ForeignObject if it is no file, or has more than Crivo writes.
    """
    content = await _start(folder, SUCCESS, MAX_SUCCESS_BYTES + 1)
    if content is not None and len(content) > MAX_SUCCESS_BYTES:
        raise ForeignObject(folder.url, f"{SUCCESS} has more than {MAX_SUCCESS_BYTES:,} bytes")
    return None if content is None else _success_in(content)


async def read_replaced(folder: ObjectFolder, export: UUID) -> Success | None:
    """Return the `_SUCCESS` that an export has taken away."""
    start = await _start(folder, begun_of(export), MAX_SUCCESS_BYTES)
    found = None if start is None else _REPLACED.match(start)
    return None if found is None else _success_in(found[1])


async def data_files_in(folder: ObjectFolder, path: str) -> AsyncIterator[list[str]]:
    """Yield the files of exports that a document names, some at once; of a missing one none."""
    rest, read_bytes = b"", 0
    async with aclosing(_read(folder, path)) as chunks:
        async for chunk in chunks:
            read_bytes += len(chunk)
            if read_bytes > MAX_DESTINATION_DOCUMENTS_BYTES:
                # It grows while it is read.
                return
            found, rest = await asyncio.to_thread(_data_files, rest + chunk)
            yield found


def _data_files(text: bytes) -> tuple[list[str], bytes]:
    """Return the files that a text names, and what may be the begin of another one."""
    end, found = 0, list[str]()
    for match in _PATH.finditer(text):
        end = match.end()
        found += _data_file(match[1])
    return found, text[max(end, len(text) - _LONGEST_PATH) :]


def _data_file(text: bytes) -> list[str]:
    try:
        path = msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    is_one = _DATA_FILE.fullmatch(path) is not None
    return [path] if is_one and max(map(len, path.encode().split(b"/"))) <= MAX_FOLDER_BYTES else []


def _success_in(content: bytes) -> Success | None:
    try:
        success = msgspec.json.decode(content, type=Success)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return success if success.manifest == manifest_of(success.export) else None


async def _start(folder: ObjectFolder, path: str, size: int) -> bytes | None:
    """Return the first bytes of an object, all if it has fewer; None without one."""
    try:
        async with aclosing(folder.read(path)) as chunks:
            start = b""
            async for chunk in chunks:
                start += chunk[: size - len(start)]
                if len(start) == size:
                    break
            return start
    except FileNotFoundError:
        return None


async def _read(folder: ObjectFolder, path: str) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(folder.read(path)) as chunks:
            async for chunk in chunks:
                yield chunk
    except (FileNotFoundError, ForeignObject):
        # It was replaced since it was found.
        return
