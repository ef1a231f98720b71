"""`crivo runs …`: list, show, read, cancel and repeat runs over datasets."""

from cyclopts import App
from cyclopts.types import NonNegativeInt

from crivo.cli.arguments import Limit, Service, Timeout, WithLabels, WithStatus, labels_argument
from crivo.cli.dataset_run import print_run, show_run_error, wait_for_run
from crivo.cli.exit_codes import OutcomeDiffers
from crivo.cli.output import DEFAULT_LIMIT, page_size
from crivo.cli.run_view import duration
from crivo.options import RunFilter
from crivo.run_models import Run

runs = App(name="runs", help="List, show and cancel runs over datasets.", sort_key=11)


@runs.command(name="list")
def list_runs(
    *,
    script: str | None = None,
    dataset: str | None = None,
    status: WithStatus = None,
    label: WithLabels = (),
    limit: Limit = DEFAULT_LIMIT,
    service: Service | None = None,
) -> None:
    """List runs, newest first.

    Parameters
    ----------
    script
        Only those of a script, such as `clean` or `clean@3`.
    dataset
        Only those over a dataset.
    """
    service = service or Service()
    filters: RunFilter = {
        "script": script,
        "dataset": dataset,
        "status": status,
        "labels": labels_argument(label),
    }
    with service.client() as client:
        found = client.runs.list(page_size=page_size(limit), **filters)
        service.output.items(
            ("id", "script", "input", "status", "created", "parts", "done", "failed", "output"),
            found,
            _cells,
            limit=limit,
            drop=("parts", "output", "done", "created"),
        )


@runs.command
def show(run: str, /, *, service: Service | None = None) -> None:
    """Show a run: its state, how far it has come, and its receipt or error."""
    service = service or Service()
    with service.client() as client:
        found = client.runs.show(run)
    service.output.facts(found, _facts(found))
    if not service.as_json:
        show_run_error(found)


@runs.command
def result(run: str, /, *, timeout: Timeout = None, service: Service | None = None) -> None:
    """Print the exact bytes of a run's result, once it has finished.

    Without a fold, it is the snapshot that the run has published.

    Parameters
    ----------
    run
        The id.
    """
    service = service or Service()
    with service.client() as client:
        found = wait_for_run(client, run, timeout=timeout, service=service)
        print_run(client, found, service)


@runs.command
def errors(run: str, /, *, limit: NonNegativeInt = 0, service: Service | None = None) -> None:
    """List the records that a run went on without, in the order of the input.

    Parameters
    ----------
    run
        The id.
    limit
        How many; 0, the default, means all.
    """
    service = service or Service()
    with service.client() as client:
        found = client.runs.errors(run, excerpt=True, page_size=page_size(limit))
        service.output.items(
            ("path", "line", "kind", "error", "excerpt"),
            found,
            lambda each: (each.path, each.line, each.error.kind, each.error.message, each.excerpt),
            limit=limit,
        )


@runs.command
def cancel(run: str, /, *, service: Service | None = None) -> None:
    """Cancel a queued or running run; nothing of it is published."""
    service = service or Service()
    with service.client() as client:
        found = client.runs.cancel(run)
    service.output.document(found, f"{found.id}  {found.status}")


@runs.command
def replay(run: str, /, *, timeout: Timeout = None, service: Service | None = None) -> None:
    """Run a finished run again over the same snapshot, and compare the outcomes.

    Nothing is published.

    Parameters
    ----------
    run
        The id.
    """
    service = service or Service()
    with service.client() as client:
        queued = client.runs.replay(run)
        found = wait_for_run(client, str(queued.id), timeout=timeout, service=service)
    is_identical = found.replay is not None and found.replay.identical is True
    text = "identical" if is_identical else "differs"
    service.output.document(found, f"{found.id}  {found.reference}  {found.status}  {text}")
    if not is_identical:
        raise OutcomeDiffers(f"the outcome is not that of {run}")


def _cells(run: Run) -> tuple[object, ...]:
    progress = run.progress
    return (
        run.id,
        run.reference,
        run.input,
        run.status,
        run.created_at,
        progress.parts,
        progress.parts_done,
        progress.rows_failed,
        run.published,
    )


def _facts(run: Run) -> dict[str, object]:
    progress = run.progress
    facts: dict[str, object] = {
        "id": run.id,
        "script": run.reference,
        "input": run.input,
        "format": run.format,
        "status": run.status,
        "created": run.created_at,
        "finished": run.finished_at,
        "labels": " ".join(f"{name}:{value}" for name, value in run.labels.items()) or None,
        "parts": f"{progress.parts_done} of {progress.parts}",
        "bytes": f"{progress.bytes_done} of {progress.bytes}",
        "rows in": progress.rows_in,
        "rows out": progress.rows_out,
        "rows failed": progress.rows_failed,
        "output": None if run.output is None else run.output.dataset,
        "published": run.published,
        "replay of": run.replay_of,
        "callback": run.callback_url,
    }
    if progress.remaining_seconds is not None and not run.is_final:
        facts["left"] = duration(progress.remaining_seconds)
    if run.receipt is not None:
        facts |= {
            "run ms": run.receipt.run_ms,
            "cpu ms": run.receipt.cpu_ms,
            "memory": run.receipt.peak_memory_bytes,
            "executions": run.receipt.executions,
            "seed": run.receipt.seed,
        }
    return facts
