"""Define the problems that requests for pipes can end in, and why a pipe stands still."""

from app.errors import CrivoError, Problem, clipped
from app.outages import Unavailable


class PipeNotFound(Problem):
    """No pipe of this tenant has this name."""

    status = 404
    code = "pipe-not-found"
    title = "There is no such pipe"


class PipeTakesNoEvents(Problem):
    """The source of the pipe is another one than HTTP."""

    status = 409
    code = "pipe-takes-no-events"
    title = "The pipe takes no events over HTTP"


class PipeNotEmpty(Problem):
    """The pipe has events that are not forwarded, or dead letters, which would be lost."""

    status = 409
    code = "pipe-not-empty"
    title = "The pipe still has events"


class ScriptForBytes(Problem):
    """The version has no function that can be called with an event."""

    status = 409
    code = "script-for-bytes"
    title = "The script cannot be called with events"


class InboxFull(Problem):
    """The inboxes of the tenant's pipes are full."""

    status = 429
    code = "inbox-full"
    title = "Too many events wait"


class StreamsUnavailable(Unavailable):
    """Redis, which has the streams of pipes, cannot be used at the moment."""

    code = "streams-unavailable"
    title = "The streams of pipes cannot be reached at the moment"


class InvalidEventId(Problem):
    """The header is no id, or does not belong to a single event."""

    status = 400
    code = "invalid-event-id"
    title = "Crivo-Event-Id is not an event's id"


class EventTooLarge(Problem):
    """An event has more bytes than an event may have."""

    status = 413
    code = "event-too-large"
    title = "An event is too large"


class PipeTroubled(CrivoError):
    """What a pipe needs is not there or does not work: it waits, and tries its batch again."""


class LeaseLost(CrivoError):
    """Another worker may hold the pipe by now: nothing of the batch may be committed."""


class RowsLocked(CrivoError):
    """Others hold what a transaction needs: nothing of it is stored."""


def pipe_not_found(name: str) -> PipeNotFound:
    """Name a missing pipe."""
    return PipeNotFound(
        f"no pipe {clipped(name)!r}; GET /pipes lists them, PUT /pipes/{clipped(name)} makes one"
    )
