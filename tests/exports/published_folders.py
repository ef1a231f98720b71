"""Read the destinations of a test's exports, in folders and in a bucket."""

from pathlib import Path

from app.exports.object_folder import ObjectFolder
from app.exports.opening import open_folder
from tests.exports.running_exports import RunningExports
from tests.support.servers_s3 import S3


async def folder_of(exports: RunningExports, url: str) -> ObjectFolder:
    root = url.partition("/default")[0]
    return await open_folder(exports.resources.settings, url, root=root)


async def content(folder: ObjectFolder, path: str) -> bytes:
    return b"".join([chunk async for chunk in folder.read(path)])


def objects(url: str, s3: S3 | None = None) -> set[str]:
    """Return the paths of all objects of a destination."""
    if s3 is not None and url.startswith("s3:"):
        prefix = url.removeprefix("s3://crivo/") + "/"
        return {each.removeprefix(prefix) for each in s3.names() if each.startswith(prefix)}
    root = Path(url.removeprefix("file://"))
    return {str(each.relative_to(root)) for each in root.rglob("*") if not each.is_dir()}
