"""Write manifests a page of files at a time: an export may have very many."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from app.exports.model import Manifest, ManifestFile

# With `files` last, and empty.
_END = b"]}"


async def manifest_chunks(
    head: Manifest, pages: AsyncIterator[Sequence[ManifestFile]]
) -> AsyncGenerator[bytes, None]:
    """Yield the JSON of a manifest with all files of the pages; those of `head` do not count."""
    yield msgspec.json.encode(replace(head, files=())).removesuffix(_END)
    separator = b""
    async for page in pages:
        yield separator + msgspec.json.encode(page)[1:-1]
        separator = b","
    yield _END


async def paged(files: Iterable[ManifestFile], size: int) -> AsyncIterator[Sequence[ManifestFile]]:
    """Yield files that are in memory a page at a time."""
    page: list[ManifestFile] = []
    for each in files:
        page.append(each)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
