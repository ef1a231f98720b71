"""Put events through the script of a re-drive first, then through all that their pipe does."""

from collections.abc import Sequence

from msgspec.structs import replace

from app.pipes.connectors.model import Event
from app.pipes.model import LoadedPipe
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
    script. Raises what `process_events` raises.
    """
    if script is None:
        return await process_events(resources, pipe, events)
    alone = replace(pipe, definition=replace(pipe.definition, schema=None, script=None))
    first = await process_events(resources, alone, events, script=script)
    mended = [replace(each.event, data=each.forward) for each in first if each.forward is not None]
    then = iter(await process_events(resources, pipe, mended) if mended else ())
    return [each if each.forward is None else next(then) for each in first]
