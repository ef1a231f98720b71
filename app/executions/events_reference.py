"""What the API's reference says of following an execution by events."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.auth.errors import InvalidToken
from app.auth.event_tokens import EventsToken
from app.errors import invalid
from app.executions.reference import EXAMPLES, NO_DATABASE, NO_EXECUTION, PARAMETERS, WAIT_REFUSALS
from app.http.openapi import Answer, JsonSchema, documented
from app.http.undeclared import IdempotencyUnsupported, not_evaluated


class EventChoices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client without headers is let in."""

    token: (
        Annotated[str, Meta(description="what `…/events-token` gave, in place of a key; for 60 s")]
        | UnsetType
    ) = UNSET


# As a text, and as clients have it: OpenAPI 3.1 leaves open which of them a stream's schema is of.
_EVENTS: Final[JsonSchema] = {
    "description": "the text of all events; as an object: one of them",
    "type": ["string", "object"],
    "properties": {
        "event": {"const": "status"},
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "data": {
            "description": "the execution without its result",
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Execution"},
        },
        "retry": {"type": "integer"},
    },
    "required": ["event", "id", "data"],
}

SHOW_EVENTS: Final = documented(
    query=EventChoices,
    headers={"Last-Event-ID": "the `id` of the last event that the client has"},
    gives={
        200: Answer(
            description="The events as they come, with a comment every 15 s between them",
            shape=_EVENTS,
            media_type="text/event-stream",
        ),
        204: Answer(description="The client has the final event already"),
    },
    problems=(
        invalid("/wait", "is not a parameter of this address"),
        InvalidToken("the token has expired; POST …/events-token gives another"),
        NO_EXECUTION,
        *WAIT_REFUSALS,
        NO_DATABASE,
    ),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

CREATE_EVENTS_TOKEN: Final = documented(
    gives={
        201: Answer(description="The token, and until when it opens a stream", shape=EventsToken)
    },
    problems=(IdempotencyUnsupported(), not_evaluated("If-Match"), NO_EXECUTION, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)
