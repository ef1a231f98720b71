"""`crivo batch` and `crivo batches …`: run a script over many inputs."""

from itertools import islice
from typing import Annotated, Final

from cyclopts import App, Parameter

from crivo.batch_models import Batch, QueuedBatch
from crivo.cli.arguments import Limit, LimitFlags, Service, SubmitFlags
from crivo.cli.diagnostics import show_error
from crivo.cli.output import DEFAULT_LIMIT, page_size, say, write_bytes
from crivo.cli.progress import counting
from crivo.cli.run_command import opened
from crivo.errors import CrivoError, NotFinished, Refused, Unreachable
from crivo.sync.client import Crivo

# Of the failed items, as many are shown; the results hold them all.
_MAX_SHOWN: Final = 10

batches = App(name="batches", help="List, show and cancel batches.", sort_key=10)


class ItemsFailed(CrivoError):
    """At least one item of a batch has no result."""


def batch(
    script: str,
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    detach: Annotated[bool, Parameter(show_default=False)] = False,
    timeout: float | None = None,
    submit: SubmitFlags | None = None,
    limits: LimitFlags | None = None,
    service: Service | None = None,
) -> None:
    """Run a script over each line of a file, and print the results as lines of JSON.

    A line that fails does so alone: it has an `error` in place of its `result`.

    Parameters
    ----------
    script
        A reference such as `cards`, `cards@3` or `cards@prod`.
    file
        The inputs, one on each line, or one JSON array if its name ends with `.json`; `-` is
        standard input.
    detach
        Print the batch's id, and do not wait for it.
    timeout
        Seconds to wait for the end; by default until all have finished.
    """
    service = service or Service()
    options = (submit or SubmitFlags()).options(limits or LimitFlags())
    with service.client() as client:
        with opened(file) as data:
            is_array = file.endswith(".json")
            queued = client.batches.submit(script, data, is_array=is_array, **options)
        if detach:
            service.output.document(queued, str(queued.id))
            return
        found = wait_for_batch(client, queued, timeout=timeout)
        write_bytes(client.batches.result_lines(found.id))
        _require_success(client, found, service, file=file)


@batches.command(name="list")
def list_batches(*, limit: Limit = DEFAULT_LIMIT, service: Service | None = None) -> None:
    """List batches, newest first."""
    service = service or Service()
    with service.client() as client:
        found = client.batches.list(page_size=page_size(limit))
        service.output.items(
            ("id", "script", "status", "created", "items", "ended", "failed"),
            found,
            _cells,
            limit=limit,
        )


@batches.command
def show(batch_id: str, /, *, service: Service | None = None) -> None:
    """Show a batch: its state, its counts and the estimate of its end."""
    service = service or Service()
    with service.client() as client:
        found = client.batches.show(batch_id)
    counts = found.counts
    facts = {
        "id": found.id,
        "script": _reference(found),
        "status": found.status,
        "created": found.created_at,
        "items": found.items,
        "queued": counts.queued,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "finished": found.finished_at,
        "estimated": found.estimated_finish_at,
    }
    service.output.facts(found, facts)


@batches.command
def results(
    batch_id: str,
    /,
    *,
    status: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    service: Service | None = None,
) -> None:
    """Print the results of a batch as lines of JSON, in the order of its inputs.

    Parameters
    ----------
    batch_id
        The id.
    status
        Only items that are queued, running, succeeded, failed or cancelled; repeatable.
    """
    service = service or Service()
    with service.client() as client:
        write_bytes(client.batches.result_lines(batch_id, status=status))


@batches.command
def cancel(batch_id: str, /, *, service: Service | None = None) -> None:
    """Cancel every item of a batch that has not finished."""
    service = service or Service()
    with service.client() as client:
        found = client.batches.cancel(batch_id)
    service.output.document(found, f"{found.id}  {found.status}")


def wait_for_batch(client: Crivo, queued: QueuedBatch, *, timeout: float | None) -> Batch:
    """Wait for the end of a batch, and show its progress on a terminal. Raises NotFinished."""
    try:
        with counting(f"batch {queued.id}", queued.items, _ended) as show:
            return client.batches.wait(queued.id, timeout=timeout, on_progress=show)
    except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
        say(
            f"crivo: batch {queued.id} goes on; `crivo batches show {queued.id}` shows its "
            f"progress, `crivo batches cancel {queued.id}` ends it"
        )
        raise


def _require_success(client: Crivo, found: Batch, service: Service, *, file: str) -> None:
    """Show the first failures, and raise ItemsFailed if there is one."""
    missing = found.items - found.counts.succeeded
    if not missing:
        return
    if not service.as_json and found.counts.failed:
        for item in islice(client.batches.results(found.id, status=["failed"]), _MAX_SHOWN):
            if item.error is not None:
                place = f"{file}:{item.line}"
                show_error(f"{place}: {_reference(found)}", item.error, data=place)
    raise ItemsFailed(
        f"{missing} of {found.items} inputs without a result; "
        f"`crivo batches results {found.id} --status failed` lists those that failed"
    )


def _reference(found: Batch) -> str:
    return "" if found.script is None else f"{found.script.name}@{found.script.version}"


def _cells(found: Batch) -> tuple[object, ...]:
    return (
        found.id,
        _reference(found),
        found.status,
        found.created_at,
        found.items,
        found.ended,
        found.counts.failed,
    )


def _ended(state: Batch) -> int:
    return state.ended
