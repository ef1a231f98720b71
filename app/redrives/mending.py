"""Put events through the script of a re-drive first, then through all that their pipe does."""

from collections.abc import Sequence

from msgspec.structs import replace

from app.pipes.connectors.model import Event
from app.pipes.model import LoadedPipe
from app.pipes.plans import resolve_plan
from app.pipes.processing import EventOutcome, process_events
from app.resources import Resources
from app.scripts.model import ResolvedVersion


async def mend_events(
    resources: Resources,
    pipe: LoadedPipe,
    events: Sequence[Event],
    script: ResolvedVersion | None,
) -> list[EventOutcome]:
    """Return what becomes of each event, in their order.

    What `script` makes of an event is what the pipe checks by its schema and puts through its own
    script. Raises what `resolve_plan` and `process_events` raise.
    """
    plan = await resolve_plan(resources, pipe)
    if script is None:
        return await process_events(resources, pipe, events, plan)
    alone = replace(pipe, definition=replace(pipe.definition, schema=None, script=None))
    mending = await resolve_plan(resources, alone, script=script)
    first = await process_events(resources, alone, events, mending)
    mended = [replace(each.event, data=each.forward) for each in first if each.forward is not None]
    then = iter(await process_events(resources, pipe, mended, plan) if mended else ())
    return [each if each.forward is None else next(then) for each in first]
