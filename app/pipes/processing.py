"""Check events by their schema and put them through a script, batch by batch in a cell.

A batch whose cell dies or reaches a limit is divided until the event that does so is alone, which
becomes a dead letter. What it was beside is processed again, without it.
"""

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic, time
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.dead_letters.model import NewDeadLetter
from app.execution_errors import ErrorKind, Failure, failure_of
from app.limits import KIB, MAX_SEED, MIB
from app.pipes.connectors.model import Event
from app.pipes.explanations import explain
from app.pipes.model import MAX_EVENT_BYTES, LoadedPipe
from app.pipes.plans import Plan
from app.pipes.problems import PipeTroubled
from app.resources import Resources
from app.sandbox.outcomes import (
    Crashed,
    Job,
    Limits,
    Outcome,
    OutOfMemory,
    RecordOutcome,
    SchemaMismatch,
    Succeeded,
    Threw,
)
from app.sandbox.parts import OnError, Part, PartReport, RecordError, Task
from app.sandbox.validation import LIMITS, validate_lines
from app.schema_bundles import Version

log = structlog.get_logger(__name__)

# Of a batch, however long its script may take for one event alone; then it is divided.
_BATCH_WALL_MS: Final = 2_000
_BATCH_OUTPUT_BYTES: Final = 64 * MIB
_MAX_ERROR_BYTES: Final = 8 * KIB
# In JSON each may take twelve bytes.
_SHORT_CHARACTERS: Final = 500
_SPACE: Final = b" \t\r\n"
_NULL: Final = b"null"


# Makes a turn at the sandbox, for one use of it.
Turn = Callable[[], AbstractAsyncContextManager[None]]


class EventOutcome(Struct, frozen=True, kw_only=True):
    """What becomes of an event: it is forwarded as `forward`, or is a dead letter.

    Neither: `map` has returned null, so the event ends here.
    """

    event: Event
    forward: bytes | None = None
    letter: NewDeadLetter | None = None


async def process_events(
    resources: Resources,
    pipe: LoadedPipe,
    events: Sequence[Event],
    plan: Plan,
    *,
    turn: Turn | None = None,
    seconds: float | None = None,
) -> list[EventOutcome]:
    """Return what becomes of each event, in their order.

    With a plan without checks and a script all are forwarded as they are. `turn`: of each use of
    the sandbox, for the turns of pipes. `seconds`: after so long, only what has become of the first
    events, of one at least. Raises PipeTroubled, Unavailable, SandboxUnavailable.
    """
    batch = _Batch(resources, pipe, plan, turn)
    if plan.checks is None and plan.script is None:
        return [batch.refused_unread(each) or _forwarded(each, each.data) for each in events]
    readable: list[Event] = []
    outcomes: dict[int, EventOutcome] = {}
    for number, event in enumerate(events):
        refused = batch.refused_unread(event) or batch.refused_blank(event)
        if refused is None:
            readable.append(event)
        else:
            outcomes[number] = refused
    until = None if seconds is None else monotonic() + seconds
    processed = deque(await batch.process(readable, until=until))
    done: list[EventOutcome] = []
    for number in range(len(events)):
        if number not in outcomes and not processed:
            break
        done.append(outcomes.get(number) or processed.popleft())
    return done


class _Failed(Exception):
    """The batch has failed as a whole, possibly at one of its events; never leaves this module."""

    def __init__(self, report: PartReport) -> None:
        super().__init__()
        self.outcome = report.outcome
        self.number = None if report.line is None else report.line - 1
        # The source itself has thrown, before it got any event.
        self.by_source = isinstance(report.outcome, Threw) and not report.rows.rows_in


class _Batch:
    """The events of one batch, which are processed together until that fails."""

    def __init__(
        self, resources: Resources, pipe: LoadedPipe, plan: Plan, turn: Turn | None
    ) -> None:
        self._resources = resources
        self._pipe = pipe
        self._plan = plan
        self._turn = turn or self._turn_of_pipes
        # Whether the event that a batch failed at has been the reason so far.
        self._trusts = True

    async def process(self, events: Sequence[Event], *, until: float | None) -> list[EventOutcome]:
        """Process events, divided as often as it takes; after a time only the first ones."""
        done: list[EventOutcome] = []
        waiting: list[tuple[Sequence[Event], bool]] = [(events, False)] if events else []
        while waiting and not (done and until is not None and monotonic() >= until):
            part, is_suspect = waiting.pop()
            try:
                done += await self._attempt(part)
            except _Failed as failed:
                if len(part) == 1 or failed.by_source:
                    done += [self._letter(each, failed.outcome) for each in part]
                    self._trusts = self._trusts or is_suspect
                    continue
                waiting += reversed(self._divided(part, failed.number))
            else:
                self._trusts = self._trusts and not is_suspect
        return done

    def refused_unread(self, event: Event) -> EventOutcome | None:
        """Refuse what is no event, and an event that is too large for a dead letter to hold."""
        if event.fault is not None:
            return self._refused(event, Failure(ErrorKind.INVALID_INPUT, event.fault, {}))
        if len(event.data) <= MAX_EVENT_BYTES:
            return None
        message = f"the event has {len(event.data)} bytes, and may have {MAX_EVENT_BYTES}"
        return self._refused(
            replace(event, data=event.data[:MAX_EVENT_BYTES]),
            Failure(ErrorKind.INVALID_INPUT, message, {"limit_bytes": MAX_EVENT_BYTES}),
        )

    def refused_blank(self, event: Event) -> EventOutcome | None:
        """Refuse an event without any text, which a stream would pass over."""
        if event.data.strip(_SPACE):
            return None
        return self._refused(event, Failure(ErrorKind.INVALID_INPUT, "the event is empty", {}))

    def _divided(
        self, part: Sequence[Event], number: int | None
    ) -> list[tuple[Sequence[Event], bool]]:
        """Divide a part at the event that it failed at; if such events do no harm, in pieces.

        A slow script gets through half as many events as this time, at least, in each piece.
        """
        if number is None or not self._trusts or not 0 <= number < len(part):
            size = max(1, min(number or len(part), len(part)) // 2)
            return [(part[at : at + size], False) for at in range(0, len(part), size)]
        pieces = (
            (part[:number], False),
            (part[number : number + 1], True),
            (part[number + 1 :], False),
        )
        return [each for each in pieces if each[0]]

    async def _attempt(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Process events together. Raises _Failed."""
        try:
            return await self._run(events, fresh=False)
        except _Failed as failed:
            if not isinstance(failed.outcome, Crashed) or len(events) > 1:
                raise
            # As with an execution: a cell that dies without evidence of a limit gets a retry.
            log.warning("pipe.cell_crashed", pipe=str(self._pipe.id))
        return await self._run(events, fresh=True)

    async def _run(self, events: Sequence[Event], *, fresh: bool) -> list[EventOutcome]:
        errors: dict[int, RecordOutcome] = {}
        output = bytearray()

        async def keep_errors(found: list[RecordError]) -> None:
            errors.update((each.line - 1, each.outcome) for each in found)

        async def keep_output(chunk: bytes) -> None:
            output.extend(chunk)

        pool, tenant = self._resources.sandbox, str(self._pipe.tenant_id)
        async with self._turn():
            if self._plan.script is None:
                assert self._plan.checks is not None  # noqa: S101 - there is something to do
                report = await validate_lines(
                    pool,
                    tenant=tenant,
                    checks=self._plan.checks,
                    chunks=_lines(events),
                    on_errors=keep_errors,
                    limits=replace(LIMITS, wall_ms=min(LIMITS.wall_ms, _BATCH_WALL_MS)),
                    fresh=fresh,
                )
            else:
                report = await pool.stream(
                    self._job(len(events)),
                    self._part(len(events)),
                    sink=keep_output,
                    chunks=_lines(events),
                    on_errors=keep_errors,
                    fresh=fresh,
                )
        self._require_success(report)
        if self._plan.script is None:
            values = [each.data for number, each in enumerate(events) if number not in errors]
        else:
            values = bytes(output).split(b"\n")[:-1]
        if len(values) + len(errors) != len(events):
            message = "the sandbox has returned another number of events than it got"
            raise RuntimeError(message)
        rest = iter(values)
        return [
            self._letter(each, errors[number])
            if number in errors
            else self._outcome_of(each, next(rest))
            for number, each in enumerate(events)
        ]

    def _turn_of_pipes(self) -> AbstractAsyncContextManager[None]:
        pipe = self._pipe
        return self._resources.pipe_turns.turn(pipe.tenant_id, weight=pipe.weight)

    def _job(self, count: int) -> Job:
        script = self._plan.script
        assert script is not None  # noqa: S101 - the caller knows
        return Job(
            tenant=str(self._pipe.tenant_id),
            source=script.source,
            seed=random.randrange(MAX_SEED),  # noqa: S311 - no secret
            clock_ms=int(time() * 1_000),
            limits=_limits_of_batch(script.limits, count),
            context=script.context,
            checks=self._plan.checks,
        )

    def _part(self, count: int) -> Part:
        assert self._plan.script is not None  # noqa: S101 - the caller knows
        has_map = self._plan.script.has_map
        return Part(
            task=Task.MAP,
            each_record=not has_map,
            nulls=has_map,
            on_error=OnError.SKIP,
            max_errors=count,
        )

    def _require_success(self, report: PartReport) -> None:
        """Raise _Failed unless all events have been processed. Raises PipeTroubled."""
        outcome = report.outcome
        if isinstance(outcome, Succeeded):
            return
        if isinstance(outcome, OutOfMemory) and outcome.of_host:
            message = "the worker has no memory left"
            raise PipeTroubled(message)
        raise _Failed(report)

    def _outcome_of(self, event: Event, value: bytes) -> EventOutcome:
        script = self._plan.script
        if script is None:
            return _forwarded(event, value)
        if script.has_map and value == _NULL:
            return EventOutcome(event=event)
        limit = script.limits.output_bytes
        if len(value) > limit:
            message = f"the result is larger than its limit of {limit} bytes"
            failure = Failure(ErrorKind.OUTPUT_TOO_LARGE, message, {"limit_bytes": limit})
            return self._refused(event, failure)
        return _forwarded(event, value)

    def _letter(self, event: Event, outcome: Outcome) -> EventOutcome:
        failure = failure_of(outcome)
        assert failure is not None  # noqa: S101 - it was no success
        version = None
        if isinstance(outcome, SchemaMismatch):
            version = self._plan.versions.get(outcome.schema)
        elif self._plan.checks is not None:
            named = [each for each in self._plan.checks.inputs() if isinstance(each, str)]
            version = self._plan.versions.get(named[0]) if named else None
        explained = explain(failure, outcome, event.data, self._pipe.definition.schema)
        return self._refused(event, explained, schema=version)

    def _refused(
        self, event: Event, failure: Failure, *, schema: Version | None = None
    ) -> EventOutcome:
        script = self._plan.script
        letter = NewDeadLetter(
            event_id=event.id,
            event=event.data,
            kind=failure.kind,
            error=document_of(failure),
            schema=schema,
            script=None if script is None else (script.id, script.version),
        )
        return EventOutcome(event=event, letter=letter)


def document_of(failure: Failure) -> bytes:
    """Return the document of a failure; of a long one the beginning."""
    document = failure.document()
    if len(document) <= _MAX_ERROR_BYTES:
        return document
    place = {name: failure.details.get(name) for name in ("line", "column")}
    message = failure.message[:_SHORT_CHARACTERS] + "…"
    return replace(failure, message=message, details=place).document()


def _forwarded(event: Event, data: bytes) -> EventOutcome:
    return EventOutcome(event=event, forward=data)


def _limits_of_batch(limits: Limits, count: int) -> Limits:
    """Return the limits of a batch of events, of which each alone has `limits`."""
    if count == 1:
        return limits
    wall_ms = min(limits.wall_ms * count, _BATCH_WALL_MS)
    output_bytes = max(limits.output_bytes, min(limits.output_bytes * count, _BATCH_OUTPUT_BYTES))
    cpu_ms = None if limits.cpu_ms is None else min(limits.cpu_ms * count, wall_ms)
    return replace(limits, wall_ms=wall_ms, cpu_ms=cpu_ms, output_bytes=output_bytes)


async def _lines(events: Sequence[Event]) -> AsyncIterator[bytes]:
    """Yield the events as lines.

    Within an event a line feed is space between tokens, as is a carriage return; inside of a string
    JSON allows neither. So the other one stands for it, and the event means what it meant.
    """
    yield b"".join([each.data.replace(b"\n", b"\r") + b"\n" for each in events])
