"""`crivo redrive` and `crivo redrives …`: try failed work again, and follow how that goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, cast

from cyclopts import App, Group, Parameter
from cyclopts.types import PositiveInt
from msgspec import UNSET, Raw, UnsetType

from crivo.cli.arguments import Limit, Service, pointer_argument
from crivo.cli.error_kinds import ErrorKind
from crivo.cli.exit_codes import OutcomeDiffers, UsageError
from crivo.cli.output import DEFAULT_LIMIT, clipped, page_size, say, write_json, write_line
from crivo.cli.progress import counting
from crivo.errors import NotFinished, Refused, Unreachable
from crivo.options import RedriveFilter, RedriveListFilter, ReplayFilter
from crivo.redrive_models import Redrive, RetrySample

redrives = App(name="redrives", help="List, show and cancel re-drives.", sort_key=12)

_FILTERS: Final = Group("Filters", sort_key=1)


@Parameter(name="*", group=_FILTERS)
@dataclass(frozen=True, kw_only=True)
class RedriveFlags:
    """What to try again: one of the first three, and conditions on it."""

    pipe: Annotated[str | None, Parameter(help="The dead letters of a pipe.")] = None
    run: Annotated[str | None, Parameter(help="The failed records of a run.")] = None
    execution: Annotated[
        str | None, Parameter(help="The failed executions of a script, such as `cards@3`.")
    ] = None
    kind: Annotated[
        ErrorKind | None, Parameter(help="Only what has failed in this way, at first or last.")
    ] = None
    schema: Annotated[str | None, Parameter(help="Only letters that events@3 refused.")] = None
    failed_script: Annotated[str | None, Parameter(help="Only letters that clean@6 failed on.")] = (
        None
    )
    pointer: Annotated[
        str | None, Parameter(help="Only letters with a schema error at a JSON pointer.")
    ] = None
    since: Annotated[
        datetime | None, Parameter(help="Only letters and executions since a time.")
    ] = None
    until: Annotated[
        datetime | None, Parameter(help="Only letters and executions before a time.")
    ] = None

    def filters(self) -> RedriveFilter:
        """Return the conditions that were given. Raises UsageError unless they are of one kind."""
        named = [each for each in (self.pipe, self.run, self.execution) if each is not None]
        if len(named) != 1:
            raise UsageError("one of --pipe, --run and --execution says what to try again")
        since = self.since and self.since.astimezone()
        until = self.until and self.until.astimezone()
        if self.execution is not None:
            of_executions = {
                "script": self.execution,
                "error_kind": self.kind,
                "created_from": since,
                "created_before": until,
            }
            return {"execution": cast("ReplayFilter", _given(of_executions))}
        of_others = {
            "pipe": self.pipe,
            "run": self.run,
            "kind": self.kind,
            "schema": self.schema,
            "script": self.failed_script,
            "pointer": pointer_argument("--pointer", self.pointer),
            "failed_from": since,
            "failed_before": until,
        }
        return cast("RedriveFilter", _given(of_others))


def redrive(
    *,
    flags: RedriveFlags | None = None,
    script: str | None = None,
    per_second: PositiveInt | None = None,
    dry_run: Annotated[bool, Parameter(show_default=False)] = False,
    wait: Annotated[bool, Parameter(show_default=False)] = False,
    timeout: float | None = None,
    service: Service | None = None,
) -> None:
    """Try failed work again: dead letters, failed records of a run, or failed executions.

    Parameters
    ----------
    script
        A version such as `clean@7`. For a pipe, events go through it before all that the pipe does;
        by default through nothing. For a run or executions it takes the place of the version that
        failed.
    per_second
        How many a second at most; by default as many as can be.
    dry_run
        Only count them, and try the first ten without a trace.
    wait
        Wait for the end, and fail if anything has failed again.
    timeout
        Seconds to wait for the end; by default until it has ended.
    """
    service = service or Service()
    filters = (flags or RedriveFlags()).filters()
    with service.client() as client:
        if dry_run:
            plan = client.redrives.plan(on=script, **filters)
            if service.as_json:
                write_json(plan)
                return
            write_line(f"{plan.matched} to try")
            service.output.rows(
                ("id", "outcome", "error", "forward"),
                ((each, _sample_cells(each)) for each in plan.samples),
            )
            return
        started = client.redrives.create(on=script, per_second=per_second, **filters)
        if not wait:
            service.output.document(started, str(started.id))
            return
        try:
            with counting(f"re-drive {started.id}", started.matched, _tried) as show:
                found = client.redrives.wait(started.id, timeout=timeout, on_progress=show)
        except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
            say(
                f"crivo: re-drive {started.id} goes on; `crivo redrives show {started.id}` shows "
                f"its progress, `crivo redrives cancel {started.id}` ends it"
            )
            raise
    _report(service, found)
    if found.status != "finished" or found.failed_again or found.left_out:
        # Its counts have been shown.
        raise OutcomeDiffers(
            f"re-drive {found.id} ended as {found.status}, and not all of it has succeeded"
        )


@redrives.command(name="list")
def list_redrives(
    *,
    status: str | None = None,
    pipe: str | None = None,
    run: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = DEFAULT_LIMIT,
    service: Service | None = None,
) -> None:
    """List re-drives, newest first.

    Parameters
    ----------
    status
        Only queued, running, finished, failed or cancelled ones.
    pipe
        Only those of dead letters of a pipe.
    run
        Only those of failed records of a run.
    since
        Only those created since a time such as 2026-01-31T12:00:00Z.
    until
        Only those created before a time.
    """
    service = service or Service()
    filters: RedriveListFilter = {
        "status": status,
        "pipe": pipe,
        "run": run,
        "created_from": since and since.astimezone(),
        "created_before": until and until.astimezone(),
    }
    with service.client() as client:
        found = client.redrives.list(page_size=page_size(limit), **filters)
        service.output.items(
            ("id", "status", "matched", "moved", "dropped", "failed again", "remaining", "trouble"),
            found,
            _cells,
            limit=limit,
            drop=("remaining", "matched"),
        )


@redrives.command
def show(redrive: str, /, *, service: Service | None = None) -> None:
    """Show how far a re-drive has come, and what has failed again.

    Parameters
    ----------
    redrive
        The id.
    """
    service = service or Service()
    with service.client() as client:
        _report(service, client.redrives.show(redrive))


@redrives.command
def cancel(redrive: str, /, *, service: Service | None = None) -> None:
    """Cancel a re-drive; what it has not tried can be tried by another.

    Parameters
    ----------
    redrive
        The id.
    """
    service = service or Service()
    with service.client() as client:
        found = client.redrives.cancel(redrive)
    service.output.document(found, f"{found.id} is cancelled: {_counts(found)}")


def _given(conditions: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in conditions.items() if value is not None}


def _report(service: Service, found: Redrive) -> None:
    trouble = "" if found.trouble is None else f" ({found.trouble})"
    service.output.document(found, f"{found.id}  {found.status}  {_counts(found)}{trouble}")
    if not service.as_json:
        for each in found.failures:
            write_line(f"  {each.id}  {each.error.kind}  {clipped(each.error.message)}")


def _counts(found: Redrive) -> str:
    return (
        f"{found.moved} of {found.matched} moved, {found.dropped} dropped, "
        f"{found.failed_again} failed again, {found.left_out} left out, {found.remaining} remaining"
    )


def _cells(found: Redrive) -> tuple[object, ...]:
    return (
        found.id,
        found.status,
        found.matched,
        found.moved,
        found.dropped,
        found.failed_again,
        found.remaining,
        found.trouble,
    )


def _sample_cells(sample: RetrySample) -> tuple[object, ...]:
    error = None if sample.error is None else f"{sample.error.kind}: {sample.error.message}"
    return (
        sample.id,
        sample.outcome,
        None if error is None else clipped(error),
        _text(sample.forward),
    )


def _text(forward: Raw | UnsetType) -> str | None:
    return None if forward is UNSET else clipped(bytes(forward).decode(errors="replace"))


def _tried(found: Redrive) -> int:
    return found.tried
