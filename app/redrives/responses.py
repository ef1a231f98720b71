"""Say how clients that wait for re-drives read them."""

from functools import partial
from uuid import UUID

from app.progress.responses import Progress
from app.redrives import service
from app.redrives.model import Redrive
from app.resources import Resources


def progress_of(resources: Resources, tenant: UUID, redrive_id: UUID) -> Progress[Redrive]:
    """Return how a re-drive is read, as `service.show` does."""
    return Progress(
        redrive_id,
        read=partial(service.show, resources, tenant, redrive_id),
        is_final=lambda redrive: redrive.status.final,
    )
