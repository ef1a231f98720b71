"""Put events through the script of a re-drive first, then through all that their pipe does."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.pipes.connectors.model import Event
from app.pipes.model import LoadedPipe
from app.pipes.plans import Plan, resolve_plan
from app.pipes.processing import EventOutcome, Turn, process_events
from app.resources import Resources
from app.sandbox.outcomes import Limits
from app.scripts.model import ResolvedVersion


class Mending(Struct, frozen=True, kw_only=True):
    """What the pipe of events does with them now, after `first` if the re-drive has a script."""

    pipe: LoadedPipe
    first: Plan | None
    then: Plan

    def within(self, limits: Limits) -> "Mending":
        """Return the same with scripts that have these limits at most."""
        first = None if self.first is None else _within(self.first, limits)
        return replace(self, first=first, then=_within(self.then, limits))


async def plan_mending(
    resources: Resources, pipe: LoadedPipe, script: ResolvedVersion | None
) -> Mending:
    """Resolve what a pipe refers to. Raises what `resolve_plan` raises."""
    then = await resolve_plan(resources, pipe)
    first = None
    if script is not None:
        first = await resolve_plan(resources, _alone(pipe), script=script)
    return Mending(pipe=pipe, first=first, then=then)


async def mend_events(
    resources: Resources, events: Sequence[Event], plans: Mending, *, turn: Turn | None = None
) -> list[EventOutcome]:
    """Return what becomes of each event, in their order.

    What the script of the re-drive makes of an event is what the pipe checks by its schema and puts
    through its own script. `turn`: of each use of the sandbox, for those of pipes. Raises what
    `process_events` raises.
    """
    pipe = plans.pipe
    if plans.first is None:
        return await process_events(resources, pipe, events, plans.then, turn=turn)
    first = await process_events(resources, _alone(pipe), events, plans.first, turn=turn)
    mended = [replace(each.event, data=each.forward) for each in first if each.forward is not None]
    then = iter(
        await process_events(resources, pipe, mended, plans.then, turn=turn) if mended else ()
    )
    return [each if each.forward is None else next(then) for each in first]


def _alone(pipe: LoadedPipe) -> LoadedPipe:
    return replace(pipe, definition=replace(pipe.definition, schema=None, script=None))


def _within(plan: Plan, limits: Limits) -> Plan:
    if plan.script is None:
        return plan
    own = plan.script.limits
    cpu = [each for each in (own.cpu_ms, limits.cpu_ms) if each is not None]
    lower = Limits(
        wall_ms=min(own.wall_ms, limits.wall_ms),
        cpu_ms=min(cpu, default=None),
        memory_bytes=min(own.memory_bytes, limits.memory_bytes),
        output_bytes=min(own.output_bytes, limits.output_bytes),
    )
    return replace(plan, script=replace(plan.script, limits=lower))
