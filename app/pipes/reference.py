"""Document the routes of pipes for OpenAPI: responses, problems, parameters, examples."""

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.datasets.reference import NO_DATASET
from app.errors import InvalidRequest
from app.http.bodies import BodyTooLarge
from app.http.conditions import DESCRIBED_ANY
from app.http.content_digest import DigestMismatch
from app.http.openapi import ANY_JSON, RAW_TEXT, ResponseSpec, documented
from app.http.openapi_parameters import load_examples
from app.http.quota_problems import quota_problem
from app.http.undeclared import not_evaluated
from app.outages import DatabaseFull, DatabaseUnavailable
from app.pagination import Page, PageQuery
from app.pipes.model import AcceptedEvents, Pipe, PutPipe
from app.pipes.problems import (
    EventTooLarge,
    InboxFull,
    InvalidEventId,
    PipeNotEmpty,
    PipeNotFound,
    PipeTakesNoEvents,
    ScriptForBytes,
    StreamsUnavailable,
)
from app.preconditions import PreconditionFailed
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.schemas.problems import (
    SchemaArchived,
    SchemaNotFound,
    SchemaVersionNotFound,
    TooManySchemas,
)
from app.scripts.problems import ScriptArchived, ScriptNotFound, VersionNotFound

_EXAMPLES: Final = load_examples(Path(__file__).with_name("examples.json"))
NDJSON: Final = "application/x-ndjson"
EVENT_ID: Final = "Crivo-Event-Id"
_PARAMETERS: Final = {"pipe": "the pipe's name"}
_NO_DATABASE: Final = DatabaseUnavailable("PostgreSQL does not answer")
_NO_PIPE: Final = PipeNotFound("no pipe 'orders'; GET /pipes lists them")


class DeleteQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameter of a deletion."""

    erase: Annotated[
        bool,
        Meta(
            description="whether events and dead letters of the pipe are deleted with it, and the "
            "Redis stream that it writes, unless another pipe of the tenant reads or writes that"
        ),
    ] = False


PUT_PIPE: Final = documented(
    request_bodies={"application/json": PutPipe},
    headers=DESCRIBED_ANY,
    responses={
        201: ResponseSpec(
            description="The new pipe",
            shape=Pipe,
            headers={"Location": "the URL of what was created"},
            links={"showPipe": {"pipe": "name"}},
        ),
        200: ResponseSpec(
            description="The pipe, which existed",
            shape=Pipe,
            headers={"Location": "the URL of the pipe"},
        ),
    },
    problems=(
        SchemaNotFound("/schema: no schema 'events'; GET /schemas lists them"),
        SchemaVersionNotFound("/schema: the schema 'events' has no version 9"),
        SchemaArchived("/schema: the schema 'events' is archived: nothing new can refer to it"),
        TooManySchemas("/schema: more than 1000 schemas have a name that begins with ''"),
        ScriptNotFound("/script: no script 'clean'; GET /scripts lists them"),
        VersionNotFound("/script: the script 'clean' has no version 9"),
        ScriptArchived("/script: the script 'clean' is archived and takes no executions"),
        ScriptForBytes("/script: version 1 of 'clean' has neither `map` nor `process` over JSON"),
        NO_DATASET,
        MissingScope(Scope.WRITE_DATASETS),
        PipeNotEmpty("/from: the pipe 'orders' has events that are not forwarded"),
        PreconditionFailed("If-None-Match is *, but one exists already"),
        InvalidRequest(
            "/from: must have exactly one of http, redis_stream, sqs, dataset",
            errors=[
                {
                    "pointer": "/from",
                    "message": "must have exactly one of http, redis_stream, sqs, dataset",
                }
            ],
        ),
        quota_problem(QuotaExceeded(Quota.PIPES, limit=100, used=100)),
        # Of a pipe that is deleted meanwhile.
        _NO_PIPE,
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

LIST_PIPES: Final = documented(
    query=PageQuery,
    responses={200: ResponseSpec(description="A page of pipes, newest first", shape=Page[Pipe])},
    problems=(_NO_DATABASE,),
    examples=_EXAMPLES,
)

SHOW_PIPE: Final = documented(
    responses={200: ResponseSpec(description="The pipe", shape=Pipe)},
    problems=(_NO_PIPE, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

DELETE_PIPE: Final = documented(
    query=DeleteQuery,
    responses={204: ResponseSpec(description="The pipe is deleted")},
    problems=(
        not_evaluated("If-Match"),
        _NO_PIPE,
        PipeNotEmpty("the pipe 'orders' has dead letters"),
        StreamsUnavailable(
            "the stream 'orders' cannot be erased, as Redis does not answer; the pipe is paused, "
            "delete it again"
        ),
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

PAUSE_PIPE: Final = documented(
    responses={200: ResponseSpec(description="The pipe, which is paused", shape=Pipe)},
    problems=(not_evaluated("If-Match"), _NO_PIPE, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

RESUME_PIPE: Final = documented(
    responses={200: ResponseSpec(description="The pipe, which runs", shape=Pipe)},
    problems=(not_evaluated("If-Match"), _NO_PIPE, _NO_DATABASE),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)

SEND_EVENTS: Final = documented(
    request_bodies={"application/json": ANY_JSON, NDJSON: RAW_TEXT},
    headers={
        EVENT_ID: "the id of a single event, of up to 200 visible ASCII characters, not beginning "
        "with `http:` or `dataset:`. Events are not compared by id: an event sent again is "
        "forwarded again, under this id"
    },
    idempotent=True,
    responses={
        202: ResponseSpec(
            description="The events are stored",
            shape=AcceptedEvents,
            links={"showPipe": {}},
        )
    },
    problems=(
        _NO_PIPE,
        PipeTakesNoEvents("the pipe 'orders' has another source"),
        InvalidEventId(f"{EVENT_ID} is of a single event"),
        EventTooLarge("line 3 has more than 1048576 bytes"),
        BodyTooLarge("the body has more than 16777216 bytes, the limit"),
        DigestMismatch("the received body has another sha-256; send it again"),
        InvalidRequest(
            "the body has no event; each is a line of JSON",
            errors=[{"pointer": "", "message": "the body has no event; each is a line of JSON"}],
        ),
        InboxFull("1000000 events wait in the tenant's pipes", headers={"Retry-After": "2"}),
        quota_problem(QuotaExceeded(Quota.STORED_BYTES, limit=2**30, used=2**30)),
        quota_problem(
            QuotaExceeded(Quota.BYTES_PER_DAY, limit=2**30, used=2**30, retry_after_seconds=3_600)
        ),
        DatabaseFull(),
        _NO_DATABASE,
    ),
    parameters=_PARAMETERS,
    examples=_EXAMPLES,
)
