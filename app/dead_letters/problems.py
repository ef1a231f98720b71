"""Define the problems of requests for dead letters."""

from datetime import datetime
from uuid import UUID

from app.errors import Problem


class DeadLetterNotFound(Problem):
    """The tenant has no dead letter with this id."""

    status = 404
    code = "dead-letter-not-found"
    title = "There is no such dead letter"


class EventErased(Problem):
    """The event of the dead letter was erased; the letter remains."""

    status = 410
    code = "event-erased"
    title = "The event has been erased"


class EventWithLineFeed(Problem):
    """An event that matches has a line feed, so it is not one line of NDJSON."""

    status = 409
    code = "event-with-line-feed"
    title = "An event is not a single line"


def letter_not_found(letter: UUID | str) -> DeadLetterNotFound:
    """Return the error for an id that names no dead letter of the tenant."""
    return DeadLetterNotFound(f"no dead letter {letter}; GET /dead-letters lists them")


def event_erased(erased_at: datetime) -> EventErased:
    """Return the error for an event that was erased at a time."""
    at = erased_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return EventErased(
        f"the event was erased at {at}; the letter is kept", members={"erased_at": erased_at}
    )


def event_with_line_feed(letter: UUID) -> EventWithLineFeed:
    """Name an event that NDJSON cannot hold as it is, and the form that can."""
    return EventWithLineFeed(
        f"the event of the letter {letter} has a line feed, so a line cannot hold it byte for "
        "byte; form=full has every event, such ones in base64",
        members={"letter": str(letter)},
    )
