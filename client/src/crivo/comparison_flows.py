"""Flows of comparisons: run two versions over recorded inputs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import json

from crivo.comparison_models import Comparison
from crivo.errors import NotFinished
from crivo.options import Ref
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import OnState, acceptance, wait_for_end
from crivo.wire import path_to


def start(
    session: Session,
    script: Ref,
    old: int | str,
    new: int | str,
    *,
    last: int | None,
    status: Sequence[str],
    priority: int | None,
) -> Flow[Comparison]:
    """Start a comparison; all executions are stored when this returns."""
    sample: dict[str, Any] = {} if last is None else {"last": last}
    if status:
        sample["status"] = list(status)
    document: dict[str, Any] = {"from": old, "to": new, "sample": sample}
    if priority is not None:
        document["priority"] = priority
    request = acceptance(path_to("scripts", script, "comparisons"), json.encode(document))
    return (yield from session.fetch(request, Comparison))


def show(session: Session, comparison: UUID | str) -> Flow[Comparison]:
    """Show a comparison as it is."""
    return (yield from session.get(_path_of(comparison), Comparison))


def wait(
    session: Session,
    comparison: UUID | str,
    *,
    timeout: float | None,
    on_progress: OnState[Comparison] | None,
) -> Flow[Comparison]:
    """Wait until a comparison has finished. Raises NotFinished after `timeout` seconds."""
    found = yield from wait_for_end(
        session, _path_of(comparison), Comparison, timeout=timeout, on_state=on_progress
    )
    if not found.is_final:
        ended = f"{found.progress.ended} of {found.progress.executions} executions"
        message = f"comparison {comparison} has finished {ended} after {timeout:g} s"
        raise NotFinished(message, found)
    return found


def _path_of(comparison: UUID | str) -> str:
    return path_to("comparisons", comparison)
