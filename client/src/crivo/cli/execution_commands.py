"""`crivo executions …`, `watch` and `logs`."""

from datetime import datetime
from itertools import islice
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.types import NonNegativeInt

from crivo.cli.arguments import Service, labels_argument
from crivo.cli.diagnostics import show_error, show_warnings
from crivo.cli.output import say, write_bytes, write_json, write_line
from crivo.cli.progress import downloading, waiting
from crivo.cli.run_command import print_outcome
from crivo.errors import CrivoError
from crivo.execution_flows import require_success
from crivo.models import Execution
from crivo.options import ExecutionFilter


class OutcomeDiffers(CrivoError):
    """A replay has another outcome than its original."""


executions = App(name="executions", help="List, show and cancel executions.", sort_key=5)


@executions.command(name="list")
def list_executions(
    *,
    script: str | None = None,
    status: str | None = None,
    label: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    since: datetime | None = None,
    limit: NonNegativeInt = 20,
    service: Service | None = None,
) -> None:
    """List executions, newest first.

    Parameters
    ----------
    script
        Only those of a script, such as `cards` or `cards@3`.
    status
        Only queued, running, succeeded, failed or cancelled ones.
    label
        Only those with NAME:VALUE; repeatable.
    since
        Only those created since a time such as 2026-01-31T12:00:00Z.
    limit
        How many; 0 means all.
    """
    service = service or Service()
    filters: ExecutionFilter = {}
    if script is not None:
        filters["script"] = script
    if status is not None:
        filters["status"] = status
    if label:
        filters["labels"] = labels_argument(label)
    if since is not None:
        filters["created_from"] = since.astimezone()
    page_size = min(limit or 200, 200)
    with service.client() as client:
        found = client.executions.list(page_size=page_size, **filters)
        service.output.rows(
            ("id", "script", "status", "created", "run ms", "error"),
            ((each, _cells(each)) for each in islice(found, limit or None)),
        )


@executions.command
def show(execution: str, /, *, service: Service | None = None) -> None:
    """Show an execution: its state, and its receipt or error."""
    service = service or Service()
    with service.client() as client:
        found = client.executions.show(execution)
    if service.as_json:
        write_json(found)
        return
    for name, value in _facts(found):
        write_line(f"{name:12} {value}")
    reference = _reference(found)
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
def replay(
    execution: str,
    /,
    *,
    script: str | None = None,
    timeout: float | None = None,
    service: Service | None = None,
) -> None:
    """Run a finished execution again over the same input, and compare the outcomes.

    Parameters
    ----------
    execution
        The id.
    script
        Another version, such as `cards@4`; by default the same.
    timeout
        Seconds to wait for the end.
    """
    service = service or Service()
    with service.client() as client:
        queued = client.executions.replay(execution, script=script)
        with waiting(f"execution {queued.id}"):
            found = client.executions.wait(queued.id, timeout=timeout)
    is_identical = found.replay is not None and found.replay.identical
    text = "identical" if is_identical else "differs"
    service.output.document(found, f"{found.id}  {_reference(found)}  {found.status}  {text}")
    if not is_identical:
        raise OutcomeDiffers(f"the outcome is not that of {execution}")


@executions.command
def result(
    execution: str, /, *, timeout: float | None = None, service: Service | None = None
) -> None:
    """Print the exact bytes of an execution's result, once it has finished.

    Parameters
    ----------
    execution
        The id.
    timeout
        Seconds to wait for the end.
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
        write_bytes(downloading(client.executions.input_chunks(execution), None))


def watch(execution: str, /, *, service: Service | None = None) -> None:
    """Follow an execution: a line at each change of its status, until it has finished."""
    service = service or Service()
    with service.client() as client:
        final = None
        for state in client.executions.watch(execution):
            service.output.document(
                state, f"{datetime.now().astimezone():%H:%M:%S}  {state.status}"
            )
            final = state
    if final is not None:
        if final.error is not None and not service.as_json:
            show_error(_reference(final), final.error)
        require_success(final)


def logs(execution: str, /, *, service: Service | None = None) -> None:
    """Print what the script wrote to its console."""
    service = service or Service()
    with service.client() as client:
        console = client.executions.logs(execution)
    if service.as_json:
        write_json(console)
        return
    for line in console.lines:
        write_line(line.text if line.level == "log" else f"{line.level}: {line.text}")
    if console.lines_dropped:
        say(f"crivo: {console.lines_dropped} more lines were dropped")


def _cells(execution: Execution) -> tuple[object, ...]:
    receipt, error = execution.receipt, execution.error
    run_ms = None if receipt is None or receipt.run_ms is None else f"{receipt.run_ms:.1f}"
    return (
        execution.id,
        _reference(execution),
        execution.status,
        execution.created_at,
        run_ms,
        None if error is None else error.kind,
    )


def _reference(execution: Execution) -> str:
    return f"{execution.script.name}@{execution.script.version}"


def _facts(execution: Execution) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("id", execution.id),
        ("script", _reference(execution)),
        ("status", execution.status),
        ("created", execution.created_at),
    ]
    facts += [("label", f"{name}:{value}") for name, value in execution.labels.items()]
    if execution.waiting is not None:
        waits = execution.waiting
        facts.append(("waiting", f"position {waits.position} of yours ({waits.reason})"))
    receipt = execution.receipt
    if receipt is not None:
        facts += [
            ("queued ms", receipt.queued_ms),
            ("run ms", receipt.run_ms),
            ("cpu ms", receipt.cpu_ms),
            ("memory", _bytes(receipt.peak_memory_bytes)),
            ("input", _bytes(receipt.input.bytes)),
            ("output", _bytes(receipt.output.bytes if receipt.output else None)),
            ("seed", receipt.seed),
        ]
    return [(name, value) for name, value in facts if value is not None]


def _bytes(size: int | None) -> str | None:
    return None if size is None else f"{size:,} bytes"
