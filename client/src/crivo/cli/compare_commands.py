"""`crivo compare` and `crivo comparisons show`: two versions over recorded inputs."""

from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from msgspec import UNSET, Raw, UnsetType

from crivo.cli.arguments import Service, two_versions
from crivo.cli.exit_codes import OutcomeDiffers
from crivo.cli.output import clipped, say, write_json, write_line
from crivo.cli.progress import counting
from crivo.comparison_models import ComparedRun, Comparison, Difference
from crivo.errors import NotFinished, Refused, Unreachable

comparisons = App(name="comparisons", help="Show comparisons again.", sort_key=11)


def compare(
    old: str,
    new: str | None = None,
    /,
    *,
    last: PositiveInt | None = None,
    status: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    priority: int | None = None,
    detach: Annotated[bool, Parameter(show_default=False)] = False,
    timeout: float | None = None,
    service: Service | None = None,
) -> None:
    """Run two versions over the inputs of earlier executions, and show what differs.

    Parameters
    ----------
    old
        A reference such as `cards@3`; of a mere name, the version `prod`.
    new
        Another one of the same script; by default its newest version.
    last
        How many of the newest executions give inputs; by default 1,000.
    status
        Only executions that have succeeded, failed or cancelled; repeatable. By default the first
        two.
    priority
        From -10, the default, to 10.
    detach
        Print the comparison's id, and do not wait for it.
    timeout
        Seconds to wait for the end; by default until it has finished.
    """
    service = service or Service()
    name, before, after = two_versions(old if "@" in old else f"{old}@prod", new)
    with service.client() as client:
        started = client.comparisons.start(
            name, _number(before), _number(after), last=last, status=status, priority=priority
        )
        if detach:
            service.output.document(started, str(started.id))
            return
        try:
            executions = started.progress.executions
            with counting(f"comparison {started.id}", executions, _ended) as show:
                found = client.comparisons.wait(started.id, timeout=timeout, on_progress=show)
        except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
            say(
                f"crivo: comparison {started.id} goes on; "
                f"`crivo comparisons show {started.id}` shows it"
            )
            raise
    # An alias as the old version is the one to be moved.
    is_alias = not before.isdigit() and before != "latest"
    _print(found, service, alias=before if is_alias else None)


@comparisons.command
def show(comparison: str, /, *, service: Service | None = None) -> None:
    """Show a comparison: its counts, and the first 100 differences."""
    service = service or Service()
    with service.client() as client:
        found = client.comparisons.show(comparison)
    _print(found, service)


def _print(found: Comparison, service: Service, *, alias: str | None = None) -> None:
    """Write a comparison. Raises OutcomeDiffers if it is not clean."""
    name = found.script.name
    if service.as_json:
        write_json(found)
    else:
        write_line(f"{name}@{found.old} and {name}@{found.new}: {_summary(found)}")
        if found.differences:
            service.output.rows(
                ("id", "outcome", "pointer", "before", "after"),
                (row for each in found.differences for row in _rows(each)),
            )
    if found.clean is False:
        raise OutcomeDiffers(
            f"the versions differ; `crivo scripts promote {name}@{found.new} {alias or 'ALIAS'} "
            f"--comparison {found.id} --accept-differences` promotes an alias that names "
            f"{name}@{found.old} all the same"
        )


def _summary(found: Comparison) -> str:
    if not found.is_final:
        return f"{found.progress.ended} of {found.progress.executions} executions have ended"
    counts = (
        (found.same, "same"),
        (found.differing, "differing"),
        (found.newly_failed, "newly failed"),
        (found.newly_fixed, "newly fixed"),
        (found.undecided, "undecided"),
        (found.erased, "erased"),
    )
    parts = [f"{count} {word}" for count, word in counts if count or word == "same"]
    if found.cpu_ratio is not None:
        parts.append(f"{found.cpu_ratio:.2f} times the CPU")
    return f"{found.inputs} inputs, {', '.join(parts)} (comparison {found.id})"


def _rows(found: Difference) -> list[tuple[object, tuple[object, ...]]]:
    head = (found.execution, found.outcome)
    if not found.changes:
        return [(found, (*head, "", _state(found.old), _state(found.new)))]
    return [
        (
            found,
            (
                *head,
                clipped(each.pointer) or "(root)",
                _value(each.before, each.before_bytes),
                _value(each.after, each.after_bytes),
            ),
        )
        for each in found.changes
    ]


def _state(run: ComparedRun) -> str:
    return run.error_kind or run.status or "deleted"


def _value(value: Raw | UnsetType, size: int | None) -> str:
    if value is not UNSET:
        return clipped(bytes(value).decode(errors="replace"))
    return "nothing" if size is None else f"{size:,} bytes"


def _number(selector: str) -> int | str:
    return int(selector) if selector.isascii() and selector.isdigit() else selector


def _ended(state: Comparison) -> int:
    return state.progress.ended
