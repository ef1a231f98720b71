"""`crivo executions …`, `watch` and `logs`."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from cyclopts import App

from crivo.cli.arguments import Limit, Service, Timeout, WithLabels, WithStatus, labels_argument
from crivo.cli.diagnostics import show_error, show_warnings
from crivo.cli.output import DEFAULT_LIMIT, page_size, say, write_bytes, write_json, write_line
from crivo.cli.progress import waiting
from crivo.cli.run_command import print_outcome
from crivo.errors import CrivoError, NotFound
from crivo.execution_flows import require_success
from crivo.models import Execution
from crivo.options import ExecutionFilter
from crivo.sync.client import Crivo

executions = App(name="executions", help="List, show and cancel executions.", sort_key=9)


@executions.command(name="list")
def list_executions(
    *,
    script: str | None = None,
    status: WithStatus = None,
    batch: str | None = None,
    run: str | None = None,
    label: WithLabels = (),
    since: datetime | None = None,
    limit: Limit = DEFAULT_LIMIT,
    service: Service | None = None,
) -> None:
    """List executions, newest first.

    Parameters
    ----------
    script
        Only those of a script, such as `cards` or `cards@3`.
    batch
        Only those of a batch, by its id.
    run
        Only the parts of a run over a dataset, by its id.
    since
        Only those created since a time such as 2026-01-31T12:00:00Z.
    """
    service = service or Service()
    filters: ExecutionFilter = {
        "script": script,
        "status": status,
        "batch": batch,
        "run": run,
        "labels": labels_argument(label),
        "created_from": since and since.astimezone(),
    }
    with service.client() as client:
        found = client.executions.list(page_size=page_size(limit), **filters)
        service.output.items(
            ("id", "script", "status", "created", "run ms", "error"),
            found,
            execution_cells,
            limit=limit,
        )


@executions.command
def show(execution: str, /, *, service: Service | None = None) -> None:
    """Show an execution: its state, and its receipt or error."""
    service = service or Service()
    with service.client() as client:
        found = client.executions.show(execution)
    service.output.facts(found, _facts(found))
    if service.as_json:
        return
    reference = reference_of(found)
    if found.error is not None:
        show_error(reference, found.error)
    show_warnings(reference, found.warnings or [])


@executions.command
def cancel(execution: str, /, *, service: Service | None = None) -> None:
    """Cancel a queued or running execution."""
    service = service or Service()
    with service.client() as client:
        found = client.executions.cancel(execution)
    service.output.document(found, f"{found.id}  {found.status}")


@executions.command
def result(execution: str, /, *, timeout: Timeout = None, service: Service | None = None) -> None:
    """Print the exact bytes of an execution's result, once it has finished.

    Parameters
    ----------
    execution
        The id.
    """
    service = service or Service()
    with service.client() as client:
        with waiting(f"execution {execution}"):
            found = client.executions.wait(execution, timeout=timeout)
        print_outcome(client, found, service)


@executions.command(name="input")
def show_input(execution: str, /, *, service: Service | None = None) -> None:
    """Print the exact bytes of an execution's input."""
    service = service or Service()
    with service.client() as client:
        write_bytes(client.executions.input_chunks(execution))


def watch(execution: str, /, *, service: Service | None = None) -> None:
    """Follow an execution: a line at each change of its status, until it has finished."""
    service = service or Service()
    with service.client() as client, _hint_at_runs(client, execution):
        final = None
        for state in client.executions.watch(execution):
            service.output.document(
                state, f"{datetime.now().astimezone():%H:%M:%S}  {state.status}"
            )
            final = state
    if final is not None:
        if final.error is not None and not service.as_json:
            show_error(reference_of(final), final.error)
        require_success(final)


def logs(execution: str, /, *, service: Service | None = None) -> None:
    """Print what the script wrote to its console."""
    service = service or Service()
    with service.client() as client, _hint_at_runs(client, execution):
        console = client.executions.logs(execution)
    if service.as_json:
        write_json(console)
        return
    for line in console.lines:
        write_line(line.text if line.level == "log" else f"{line.level}: {line.text}")
    if console.lines_dropped:
        say(f"crivo: {console.lines_dropped} more lines were dropped")


@contextmanager
def _hint_at_runs(client: Crivo, execution: str) -> Iterator[None]:
    """Say so if what is no execution is a run."""
    try:
        yield
    except NotFound:
        with suppress(CrivoError):
            run = client.runs.show(execution)
            say(
                f"crivo: {run.id} is a run: `crivo runs result {run.id}` follows it, "
                f"`crivo executions list --run {run.id}` lists its parts, which have logs"
            )
        raise


def execution_cells(execution: Execution) -> tuple[object, ...]:
    """Return the cells of an execution in a list."""
    receipt, error = execution.receipt, execution.error
    run_ms = None if receipt is None or receipt.run_ms is None else f"{receipt.run_ms:.1f}"
    return (
        execution.id,
        reference_of(execution),
        execution.status,
        execution.created_at,
        run_ms,
        None if error is None else error.kind,
    )


def reference_of(execution: Execution) -> str:
    """Return script and version of an execution in one text."""
    return f"{execution.script.name}@{execution.script.version}"


def _facts(execution: Execution) -> dict[str, object]:
    facts: dict[str, object] = {
        "id": execution.id,
        "script": reference_of(execution),
        "status": execution.status,
        "created": execution.created_at,
    }
    if execution.labels:
        facts["labels"] = " ".join(f"{name}:{value}" for name, value in execution.labels.items())
    if execution.batch is not None:
        facts["batch"] = f"{execution.batch.id} line {execution.batch.line}"
    if execution.run is not None:
        facts["run"] = f"{execution.run.id} {execution.run.task} part {execution.run.part}"
    facts |= {"replay of": execution.replay_of, "callback": execution.callback_url}
    if execution.waiting is not None:
        waits = execution.waiting
        facts["waiting"] = f"position {waits.position} of yours ({waits.reason})"
    receipt = execution.receipt
    if receipt is not None:
        facts |= {
            "queued ms": receipt.queued_ms,
            "run ms": receipt.run_ms,
            "cpu ms": receipt.cpu_ms,
            "memory": _bytes(receipt.peak_memory_bytes),
            "input": _bytes(receipt.input.bytes),
            "output": _bytes(receipt.output.bytes if receipt.output else None),
            "seed": receipt.seed,
        }
    return facts


def _bytes(size: int | None) -> str | None:
    return None if size is None else f"{size:,} bytes"
