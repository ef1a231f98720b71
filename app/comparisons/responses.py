"""Respond with comparisons, to clients that wait for their end among others."""

from functools import partial
from uuid import UUID

from litestar import Response

from app.comparisons import service
from app.comparisons.model import Comparison, ComparisonState
from app.progress.responses import Progress, respond_with_acceptance
from app.resources import Resources


def progress_of(resources: Resources, tenant: UUID, comparison_id: UUID) -> Progress[Comparison]:
    """Return how a comparison is read, as `service.show` does."""
    return Progress(
        comparison_id,
        read=partial(service.show, resources, tenant, comparison_id),
        is_final=lambda comparison: comparison.state is ComparisonState.FINISHED,
    )


def respond_to_creation(comparison: Comparison, *, is_replay: bool = False) -> Response[Comparison]:
    """Respond with a new comparison, or with that of an earlier request with the same key."""
    url = f"/comparisons/{comparison.id}"
    return respond_with_acceptance(comparison, url=url, is_replay=is_replay)
