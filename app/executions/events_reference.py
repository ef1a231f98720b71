"""Document the routes of events in OpenAPI."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import InvalidToken
from app.auth.event_tokens import EventsToken
from app.errors import invalid
from app.executions.reference import EXAMPLES, NO_DATABASE, NO_EXECUTION, PARAMETERS, WAIT_REFUSALS
from app.http.openapi import JsonSchema, ResponseSpec, documented
from app.http.undeclared import not_evaluated


class EventsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the event stream."""

    token: (
        Annotated[
            str,
            Meta(description="a token from `…/events-token` instead of a key; valid for 60 s"),
        ]
        | UnsetType
    ) = UNSET


def events_of(resource: str, told: str) -> JsonSchema:
    """Describe a stream whose events have a resource, by the name of its schema, as `told`."""
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
                "contentSchema": {"$ref": f"#/components/schemas/{resource}"},
            },
            "retry": {"type": "integer"},
        },
        "required": ["event", "id", "data"],
    }


SHOW_EVENTS: Final = documented(
    query=EventsQuery,
    headers={"Last-Event-ID": "the `id` of the last event that the client has received"},
    responses={
        200: ResponseSpec(
            description="The events as they occur, with a comment after every 15 s without one",
            shape=events_of("Execution", "the execution without its result"),
            media_type="text/event-stream",
        ),
        204: ResponseSpec(description="The client already has the final event"),
    },
    problems=(
        invalid("/wait", "is not a parameter of this address"),
        InvalidToken("the token has expired; POST …/events-token creates another"),
        NO_EXECUTION,
        *WAIT_REFUSALS,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CREATE_EVENTS_TOKEN: Final = documented(
    responses={201: ResponseSpec(description="The token and its expiry time", shape=EventsToken)},
    problems=(not_evaluated("If-Match"), NO_EXECUTION, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
