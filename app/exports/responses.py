"""Say how clients that wait for exports, or follow their progress, read them."""

from functools import partial
from typing import Final
from uuid import UUID

from app.exports import service
from app.exports.model import Export, ExportState, ExportStatus, QueuedExport
from app.progress.responses import Events, Progress
from app.resources import Resources

# Whether a status comes before another with as many tasks done.
_ORDER: Final = {ExportStatus.QUEUED: 0, ExportStatus.RUNNING: 1}

# By the tasks that are done, then by the status and whether there is trouble, which can end.
EVENTS: Final = Events[Export](
    number=lambda export: (
        6 * export.progress.tasks_done
        + 2 * _ORDER.get(export.status, 2)
        + (export.trouble is not None)
    ),
    state=lambda export: ExportState(
        id=export.id, status=export.status, tasks_done=export.progress.tasks_done
    ),
    told=lambda export: export,
)


def progress_of(
    resources: Resources, tenant: UUID, export_id: UUID, *, is_single: bool = True
) -> Progress[Export]:
    """Return how an export is read, as `service.show` does."""
    return Progress(
        export_id,
        read=partial(service.show, resources, tenant, export_id, is_single=is_single),
        is_final=lambda export: export.status.final,
    )


def queued_as(export: Export) -> QueuedExport:
    """Return what is said of an accepted export."""
    return QueuedExport(id=export.id, status=export.status, url=f"/exports/{export.id}")
