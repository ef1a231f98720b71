"""Open the destination of an export, for as long as its tenant may write there."""

from uuid import UUID

from app.exports.bucket_folder import BucketFolder
from app.exports.destinations import allowed_root
from app.exports.model import ExportErrorKind
from app.exports.mounted_folder import FILE, MountedFolder
from app.exports.object_folder import ObjectFolder, translating
from app.exports.plan.model import TaskFailed
from app.resources import Resources
from app.settings import Settings
from app.tenants.store import select_tenant


async def open_destination(resources: Resources, tenant_id: UUID, url: str) -> ObjectFolder:
    """Open a destination, which was allowed as its export was accepted.

    Raises DestinationUnavailable, TaskFailed, DatabaseUnavailable.
    """
    async with resources.pool.acquire() as conn:
        tenant = await select_tenant(conn, tenant_id)
    root = None if tenant is None else allowed_root(resources.settings, tenant.name, url)
    if root is None:
        message = f"{url} is no longer a destination of the tenant"
        raise TaskFailed(ExportErrorKind.DESTINATION_REFUSED, message)
    return await open_folder(resources.settings, url, root=root)


async def open_folder(settings: Settings, url: str, *, root: str) -> ObjectFolder:
    """Open a destination; of a mounted one `root` must be there.

    Raises DestinationUnavailable, TaskFailed.
    """
    if url.startswith(FILE):
        folder = MountedFolder(url, root)
        await folder.open()
        return folder
    with translating(url):
        return BucketFolder(settings, url)
