"""`crivo executions replay` and `crivo batches replay`: run recorded executions again."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from cyclopts import Group, Parameter

from crivo.cli.arguments import Service, Timeout, labels_argument
from crivo.cli.batch_commands import wait_for_batch
from crivo.cli.execution_commands import execution_cells, reference_of
from crivo.cli.exit_codes import OutcomeDiffers
from crivo.cli.output import write_json, write_line
from crivo.cli.progress import waiting
from crivo.models import Execution
from crivo.options import ReplayFilter


@Parameter(name="*", group=Group("Filters", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class Which:
    """Conditions on executions; at least one, and all of them apply."""

    script: Annotated[
        str | None, Parameter(help="Only those of a script, such as `cards` or `cards@3`.")
    ] = None
    status: Annotated[str | None, Parameter(help="Only succeeded, failed or cancelled ones.")] = (
        None
    )
    error_kind: Annotated[
        str | None, Parameter(help="Only those that failed in this way, such as `script_error`.")
    ] = None
    label: Annotated[
        tuple[str, ...], Parameter(help="Only those with NAME:VALUE.", show_default=False)
    ] = ()
    since: Annotated[
        datetime | None, Parameter(help="Only those created since 2026-01-31T12:00:00Z or so.")
    ] = None
    until: Annotated[datetime | None, Parameter(help="Only those created before a time.")] = None

    def filters(self) -> ReplayFilter:
        """Return the conditions that were given. Raises UsageError."""
        chosen: ReplayFilter = {}
        if self.script is not None:
            chosen["script"] = self.script
        if self.status is not None:
            chosen["status"] = self.status
        if self.error_kind is not None:
            chosen["error_kind"] = self.error_kind
        if self.label:
            chosen["labels"] = labels_argument(self.label)
        if self.since is not None:
            chosen["created_from"] = self.since.astimezone()
        if self.until is not None:
            chosen["created_before"] = self.until.astimezone()
        return chosen


def replay(
    execution: str,
    /,
    *,
    script: str | None = None,
    timeout: Timeout = None,
    service: Service | None = None,
) -> None:
    """Run a finished execution again over the same input, and compare the outcomes.

    Parameters
    ----------
    execution
        The id.
    script
        Another version, such as `cards@4`; by default the same.
    """
    service = service or Service()
    with service.client() as client:
        queued = client.executions.replay(execution, script=script)
        with waiting(f"execution {queued.id}"):
            found = client.executions.wait(queued.id, timeout=timeout)
    text = "identical" if _is_identical(found) else "differs"
    service.output.document(found, f"{found.id}  {reference_of(found)}  {found.status}  {text}")
    if not _is_identical(found):
        raise OutcomeDiffers(f"the outcome is not that of {execution}")


def replay_many(
    *,
    which: Which | None = None,
    on: str | None = None,
    priority: int | None = None,
    dry_run: Annotated[bool, Parameter(show_default=False)] = False,
    detach: Annotated[bool, Parameter(show_default=False)] = False,
    timeout: float | None = None,
    service: Service | None = None,
) -> None:
    """Run all finished executions that match again, as a batch, and list those that differ.

    Parameters
    ----------
    on
        The version to run, such as `cards@4`; by default that of each.
    priority
        From -10, the default, to 10.
    dry_run
        Only count them, and show the ten newest.
    detach
        Print the batch's id, and do not wait for it.
    timeout
        Seconds to wait for the end; by default until all have finished.
    """
    service = service or Service()
    filters = (which or Which()).filters()
    with service.client() as client:
        if dry_run:
            plan = client.batches.plan_replay(on=on, **filters)
            if service.as_json:
                write_json(plan)
                return
            write_line(f"{plan.matching - plan.erased} to replay, {plan.erased} erased")
            service.output.rows(
                ("id", "script", "status", "created", "run ms", "error"),
                ((each, execution_cells(each)) for each in plan.samples),
            )
            return
        queued = client.batches.replay(on=on, priority=priority, **filters)
        if detach:
            service.output.document(queued, str(queued.id))
            return
        found = wait_for_batch(client, queued, timeout=timeout)
        counts = Counter[bool]()
        differing: list[Execution] = []
        for each in client.executions.list(batch=found.id):
            counts[_is_identical(each)] += 1
            if not _is_identical(each):
                differing.append(each)
    if service.as_json:
        write_json({"batch": found, "identical": counts[True], "differing": differing})
    elif not differing:
        write_line(f"{counts[True]} of {found.items} identical")
    else:
        service.output.rows(
            ("id", "replay of", "script", "status", "error"),
            (
                (
                    each,
                    (
                        each.id,
                        each.replay_of,
                        reference_of(each),
                        each.status,
                        None if each.error is None else each.error.kind,
                    ),
                )
                for each in differing
            ),
        )
        write_line(f"{counts[True]} of {found.items} identical")
    if differing:
        raise OutcomeDiffers(f"{counts[False]} of {found.items} outcomes differ")


def _is_identical(execution: Execution) -> bool:
    return execution.replay is not None and execution.replay.identical
