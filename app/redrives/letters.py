"""Re-drive the dead letters of a pipe: which ones, and on trial."""

from typing import Final
from uuid import UUID

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from app.auth.callers import Caller
from app.check_turns import CheckBusy, TooManyChecks, check_turn
from app.datasets.parts.json_text import InvalidJson, require_json, require_shallow
from app.db import Connection
from app.dead_letters.filters import LetterConditions, resolve_conditions
from app.dead_letters.model import LetterFilter, LetterState
from app.dead_letters.scanning import WINDOW_LETTERS, scan_all
from app.errors import InvalidRequest, Problem, invalid, located
from app.limits import LimitChoice
from app.outages import Unavailable
from app.pipes.connectors.model import Event
from app.pipes.model import LoadedPipe
from app.pipes.plans import require_script
from app.pipes.problems import PipeTroubled, ScriptForBytes, pipe_not_found
from app.pipes.store import load_pipe
from app.redrives import letter_store
from app.redrives.letter_store import MarkedLetter
from app.redrives.mending import Mending, mend_events, plan_mending
from app.redrives.model import (
    MAX_LETTERS,
    MAX_SAMPLES,
    MAX_SHOWN_BYTES,
    RedriveFilter,
    RedrivePlan,
    RetrySample,
)
from app.redrives.problems import CannotRedrive, too_many_letters
from app.resources import Resources
from app.sandbox.outcomes import Limits
from app.schemas.problems import SchemaNotFound, SchemaVersionNotFound
from app.scripts.model import ResolvedVersion
from app.scripts.problems import ScriptNotFound, VersionNotFound
from app.scripts.samples import limits_of_sample
from app.validation import in_utc

_POINTER: Final = "/filter/pipe"


class LetterMatch(Struct, frozen=True, kw_only=True):
    """A pipe and the conditions on its dead letters."""

    pipe: LoadedPipe
    letters: LetterFilter


async def find(
    conn: Connection, tenant: UUID, wanted: RedriveFilter, script: ResolvedVersion | None
) -> LetterMatch:
    """Resolve a filter of dead letters, and require that events can go through the script.

    Raises PipeNotFound, InvalidRequest, SchemaNotFound, SchemaVersionNotFound, ScriptNotFound,
    VersionNotFound, ScriptForBytes.
    """
    assert not isinstance(wanted.pipe, UnsetType)  # noqa: S101 - it is of this kind
    conditions = LetterConditions(
        pipe=wanted.pipe,
        kind=wanted.kind,
        schema=wanted.schema,
        script=wanted.script,
        pointer=wanted.pointer,
        created_from=UNSET if wanted.from_ is UNSET else in_utc("filter/from", wanted.from_),
        created_before=UNSET if wanted.to is UNSET else in_utc("filter/to", wanted.to),
    )
    try:
        letters = await resolve_conditions(conn, tenant, conditions)
    except InvalidRequest as error:
        [fault] = error.errors
        raise invalid(f"/filter{fault['pointer']}", str(fault["message"])) from None
    except (SchemaNotFound, SchemaVersionNotFound) as problem:
        raise located("/filter/schema", problem) from None
    except (ScriptNotFound, VersionNotFound) as problem:
        raise located("/filter/script", problem) from None
    assert letters.pipe_id is not None  # noqa: S101 - the filter names it
    pipe = await load_pipe(conn, tenant, letters.pipe_id)
    if pipe is None:
        raise located(_POINTER, pipe_not_found(wanted.pipe))
    if script is not None:
        chosen = replace(pipe.definition, script=f"{script.script_id}@{script.version}")
        try:
            await require_script(conn, tenant, chosen)
        except ScriptForBytes as problem:
            raise located("/script", problem) from None
    return LetterMatch(pipe=pipe, letters=replace(letters, state=LetterState.DEAD))


async def mark(conn: Connection, tenant: UUID, match: LetterMatch, redrive_id: UUID) -> int:
    """Mark what matches as the re-drive's own, under `lock_redrives`; return how many.

    Raises TooManyToRedrive, after which the transaction has to be rolled back.
    """
    matched = 0
    async for window in scan_all(conn, tenant, match.letters, limit=WINDOW_LETTERS):
        if window.ids:
            matched += await letter_store.mark_letters(conn, tenant, redrive_id, window.ids)
        if matched > MAX_LETTERS:
            # What a request may take, in time and in rows that are written anew.
            raise too_many_letters(MAX_LETTERS)
    return matched


async def plan(
    resources: Resources, caller: Caller, wanted: RedriveFilter, script: ResolvedVersion | None
) -> RedrivePlan:
    """Count what matches, and process the oldest ten; nothing is sent.

    Each use of the sandbox has a turn of its own. Raises what `find` raises, CannotRedrive,
    CheckBusy, TooManyChecks.
    """
    matched = 0
    oldest: list[UUID] = []
    async with resources.pool.acquire() as conn:
        match = await find(conn, caller.tenant, wanted, script)
        async for window in scan_all(conn, caller.tenant, match.letters, limit=WINDOW_LETTERS):
            free = await letter_store.select_free(conn, caller.tenant, window.ids)
            matched += len(free)
            oldest += free[: MAX_SAMPLES - len(oldest)]
        found = await letter_store.select_letters(conn, caller.tenant, oldest)
    try:
        plans = await plan_mending(resources, match.pipe, script)
        plans = plans.within(_limits(resources))
        samples = [await _sample(resources, caller, each, plans) for each in found]
    except (CheckBusy, TooManyChecks, Unavailable):
        raise
    except (PipeTroubled, Problem) as error:
        # A reference of the pipe that names nothing now.
        raise CannotRedrive(f"{_POINTER}: the pipe cannot process events now: {error}") from None
    return RedrivePlan(matched=matched, samples=samples)


async def _sample(
    resources: Resources, caller: Caller, letter: MarkedLetter, plans: Mending
) -> RetrySample:
    name = str(letter.id)
    if letter.event is None:
        return RetrySample(id=name, outcome="left_out")
    event = Event(id=letter.event_id, data=letter.event)
    [outcome] = await mend_events(
        resources, [event], plans, turn=lambda: check_turn(resources, caller)
    )
    if outcome.letter is not None:
        return RetrySample(id=name, outcome="failed_again", error=Raw(outcome.letter.error))
    if outcome.forward is None:
        return RetrySample(id=name, outcome="dropped")
    return RetrySample(
        id=name,
        outcome="moved",
        forward=_shown(outcome.forward),
        forward_bytes=len(outcome.forward),
    )


def _limits(resources: Resources) -> Limits:
    """Return the limits of what other uploads wait for."""
    limits = limits_of_sample(resources.settings, LimitChoice())
    return Limits(
        wall_ms=limits.wall_ms,
        cpu_ms=limits.max_cpu_ms,
        memory_bytes=limits.memory_bytes,
        output_bytes=limits.max_output_bytes,
    )


def _shown(data: bytes) -> Raw | UnsetType:
    """Return the event out if it is short JSON; an event of a pipe without a schema can be any."""
    if len(data) > MAX_SHOWN_BYTES:
        return UNSET
    try:
        require_json(data)
        require_shallow(data)
    except InvalidJson:
        return UNSET
    return Raw(data)
