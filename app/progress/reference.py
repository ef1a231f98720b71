"""Describe submissions, waits, cancellations and events in the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from litestar.openapi.spec import Operation
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from app.auth.errors import InvalidToken
from app.auth.event_tokens import EventsToken
from app.errors import Problem, invalid
from app.http.openapi import JsonSchema, ResponseSpec, documented
from app.http.openapi_parameters import Example
from app.http.undeclared import not_evaluated
from app.outages import DatabaseUnavailable
from app.progress.problems import NoRoomToWait, TooManyWaiting
from app.progress.waiters import MAX_WAIT_SECONDS

NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
WAIT_REFUSALS: Final = (
    TooManyWaiting("1000 requests of this tenant are already waiting"),
    NoRoomToWait("2000 requests are already waiting"),
)
_PREFERENCE_APPLIED: Final = "with `Prefer: wait`, unless too many already wait"


class ResourceKind(Struct, frozen=True, kw_only=True):
    """What the operations of one kind of resource have in common.

    Texts call a resource by its `noun`. `missing` is the problem where there is none, `parameters`
    describe those of its paths.
    """

    noun: str
    shape: type[Struct]
    missing: Problem
    parameters: Mapping[str, str]
    examples: Mapping[str, Sequence[Example]]


class EventsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the event stream."""

    token: (
        Annotated[
            str,
            Meta(description="a token from `…/events-token` instead of a key; valid for 60 s"),
        ]
        | UnsetType
    ) = UNSET


def seconds_for(resource: str) -> Meta:
    """Describe the parameter `wait`: for how long a request waits for an unended `resource`."""
    return Meta(ge=0, description=f"seconds to wait for {resource}, {MAX_WAIT_SECONDS} at most")


def preferring(noun: str, *, ended: str = "finished", others: str = "") -> dict[str, str]:
    """Describe the header Prefer, and what becomes of `others` that it can name."""
    return {
        "Prefer": f"`wait=30`: respond when the {noun} has {ended}, after this many seconds at the "
        f"latest, {MAX_WAIT_SECONDS} at most{others} (RFC 7240)"
    }


def accepted(noun: str, shape: type[Struct], *, links: Sequence[str]) -> ResponseSpec:
    """Describe the response to a submission that is stored; `links` show it by its id."""
    return ResponseSpec(
        description="Accepted and committed; poll its address",
        shape=shape,
        headers={
            "Location": f"address of the {noun}",
            "Retry-After": "seconds until the first poll",
        },
        links={each: {noun: "id"} for each in links},
    )


def queued(noun: str, shape: type[Struct], *, links: Sequence[str]) -> ResponseSpec:
    """Describe the response to a submission that can wait, and has not ended in time."""
    response = accepted(noun, shape, links=links)
    headers = {**response.headers, "Preference-Applied": _PREFERENCE_APPLIED}
    return replace(response, headers=headers)


def ended(
    noun: str,
    shape: type[Struct],
    *,
    description: str = "Accepted, committed and, with `Prefer: wait`, finished in time",
) -> ResponseSpec:
    """Describe the response to a submission that waits, and has ended in time."""
    return ResponseSpec(
        description=description,
        shape=shape,
        headers={
            "Location": f"address of the {noun}",
            "Preference-Applied": "`wait` and the longest wait in seconds",
        },
    )


def showing(
    kind: ResourceKind,
    *,
    query: type[Struct],
    prefer: Mapping[str, str],
    unended: str = "unfinished",
) -> type[Operation]:
    """Document an operation that shows a resource, after waiting for its end."""
    shown = ResponseSpec(
        description=f"The {kind.noun} in its current state",
        shape=kind.shape,
        headers={
            "Retry-After": f"seconds until the next poll, while it is {unended}",
            "Preference-Applied": _PREFERENCE_APPLIED,
        },
    )
    return documented(
        query=query,
        headers=prefer,
        responses={200: shown},
        problems=(kind.missing, *WAIT_REFUSALS, NO_DATABASE),
        parameters=kind.parameters,
        examples=kind.examples,
    )


def cancelling(kind: ResourceKind, *refusals: Problem) -> type[Operation]:
    """Document an operation that cancels a resource, or refuses that."""
    shown = ResponseSpec(description=f"The {kind.noun}, cancelled", shape=kind.shape)
    return documented(
        responses={200: shown},
        problems=(kind.missing, *refusals, not_evaluated("If-Match"), NO_DATABASE),
        parameters=kind.parameters,
        examples=kind.examples,
    )


def following(kind: ResourceKind, *, told: str | None = None) -> type[Operation]:
    """Document an operation that sends the events of a resource; `told`: what each holds of it."""
    events = ResponseSpec(
        description="The events as they occur, with a comment after every 15 s without one",
        shape=_events(kind.shape, told or f"the {kind.noun}"),
        media_type="text/event-stream",
    )
    return documented(
        query=EventsQuery,
        headers={"Last-Event-ID": "the `id` of the last event that the client has received"},
        responses={
            200: events,
            204: ResponseSpec(description="The client already has the final event"),
        },
        problems=(
            invalid("/wait", "is not a parameter of this address"),
            InvalidToken("the token has expired; POST …/events-token creates another"),
            kind.missing,
            *WAIT_REFUSALS,
            NO_DATABASE,
        ),
        parameters=kind.parameters,
        examples=kind.examples,
    )


def creating_token(kind: ResourceKind) -> type[Operation]:
    """Document an operation that creates a token for the events of a resource."""
    token = ResponseSpec(description="The token and its expiry time", shape=EventsToken)
    return documented(
        responses={201: token},
        problems=(not_evaluated("If-Match"), kind.missing, NO_DATABASE),
        parameters=kind.parameters,
        examples=kind.examples,
    )


def _events(shape: type[Struct], told: str) -> JsonSchema:
    # OpenAPI 3.1 leaves open whether the schema of a stream describes its text or one event of it.
    return {
        "description": "as a string, the text of all events; as an object, one event",
        "type": ["string", "object"],
        "properties": {
            "event": {"const": "status"},
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "data": {
                "description": told,
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"#/components/schemas/{shape.__name__}"},
            },
            "retry": {"type": "integer"},
        },
        "required": ["event", "id", "data"],
    }
