"""Define pipes: where events come from, what they must satisfy, and where they go."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.errors import invalid
from app.fair_queue import DEFAULT_WEIGHT
from app.limits import MIB
from app.references import Name

# Of a stream or a group: what no other side could take for something else.
ADDRESS_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$(?!\n)"
Address = Annotated[str, Meta(pattern=ADDRESS_PATTERN)]
# The field of an entry that holds the event.
Field = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$(?!\n)")]
# As SQS has it: up to 80 characters, the suffix of a FIFO queue included.
Queue = Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9_-]{1,80}(\.fifo)?$(?!\n)")]
Url = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00-\x20\x7f]*$(?!\n)")]
Reference = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Pointer = Annotated[str, Meta(max_length=500, pattern=r"^(/[^\x00]*)?$")]
Prefix = Annotated[str, Meta(max_length=62, pattern=r"^([a-z0-9][a-z0-9._-]*)?$(?!\n)")]

# Of one event, at every source.
MAX_EVENT_BYTES: Final = MIB
MAX_BATCH_EVENTS: Final = 10_000


class HttpSource(Struct, frozen=True, forbid_unknown_fields=True):
    """Events of `POST /pipes/{pipe}/events`."""


class RedisStreamSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries of a stream, whose `field` is the event, read by a consumer group.

    `group`: null stands for the pipe's name. It is for this pipe only, which takes what others have
    read of it.
    `trim`: entries that every group of the stream has acknowledged are deleted.
    """

    stream: Address
    group: Address | None = None
    field: Field = "event"
    trim: bool = True


class SqsSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of a queue."""

    queue: Queue


class DatasetSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records that each new snapshot of a dataset adds."""

    dataset: Name


class RedisStreamSink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries of a stream, of which about the newest `maxlen` stay; null: all."""

    stream: Address
    maxlen: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None


class SqsSink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of a queue."""

    queue: Queue


class DatasetSink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records of a dataset; each batch is one snapshot."""

    dataset: Name


class HttpSink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests to a URL, each with one event, or with many as NDJSON."""

    url: Url
    format: Literal["json", "ndjson"] = "json"


AnySource = HttpSource | RedisStreamSource | SqsSource | DatasetSource
AnySink = RedisStreamSink | SqsSink | DatasetSink | HttpSink


class PipeFrom(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where events come from: exactly one member."""

    http: HttpSource | UnsetType = UNSET
    redis_stream: RedisStreamSource | UnsetType = UNSET
    sqs: SqsSource | UnsetType = UNSET
    dataset: DatasetSource | UnsetType = UNSET

    @property
    def source(self) -> AnySource:
        """The one member. Raises InvalidRequest unless there is exactly one."""
        source: AnySource = _only_member(self, "/from")
        return source


class PipeTo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where events go: exactly one member."""

    redis_stream: RedisStreamSink | UnsetType = UNSET
    sqs: SqsSink | UnsetType = UNSET
    dataset: DatasetSink | UnsetType = UNSET
    http: HttpSink | UnsetType = UNSET

    @property
    def sink(self) -> AnySink:
        """The one member. Raises InvalidRequest unless there is exactly one."""
        sink: AnySink = _only_member(self, "/to")
        return sink


class ChosenSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema that the event names: `prefix` and the strings at `by`, joined with dots.

    At its newest version, or at the one that `alias` names.
    """

    by: Annotated[tuple[Pointer, ...], Meta(min_length=1, max_length=8)]
    prefix: Prefix = ""
    alias: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9._-]{0,62}$(?!\n)")] | None = None


class PipeBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many events are forwarded together at most, and how long the first waits for others."""

    events: Annotated[int, Meta(ge=1, le=MAX_BATCH_EVENTS)] | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=60_000)] | None = None


class PutPipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /pipes/{pipe}`, and the definition that is stored.

    Beside `schema`, the schemas of the script's version and that of a dataset as the sink decide.
    Without any of these, and without a script, events are forwarded unread.
    """

    source: PipeFrom = field(name="from")
    schema: Reference | ChosenSchema | None = None
    script: Reference | None = None
    sink: PipeTo = field(name="to")
    batch: PipeBatch = PipeBatch()


class LoadedPipe(Struct, frozen=True, kw_only=True):
    """A pipe to work on; `position` is the JSON of how far its source has been read.

    `source_revision` is the revision that changed the source last. `weight` is that
    of the tenant, whose name is `tenant`.
    """

    id: UUID
    tenant_id: UUID
    tenant: str
    name: str
    revision: int
    definition: PutPipe
    source_revision: int = 1
    position: bytes | None = None
    weight: int = DEFAULT_WEIGHT


class LetterKind(StrEnum):
    """Why an event is a dead letter, beside the kinds of app/execution_errors.py."""

    SINK_REFUSED = "sink_refused"


class PipeState(StrEnum):
    """What a pipe does; TROUBLED: it tries again and again, and `trouble` says at what."""

    RUNNING = "running"
    PAUSED = "paused"
    TROUBLED = "troubled"


class EventCounts(Struct, frozen=True, kw_only=True):
    """Events since the pipe was made: read, forwarded, and kept as dead letters."""

    received: int = field(name="in")
    forwarded: int
    refused: int


class EventRates(Struct, frozen=True, kw_only=True):
    """Events a second over the last minute."""

    received: float = field(name="in")
    forwarded: float
    refused: float


class PipeLag(Struct, frozen=True, kw_only=True):
    """What the source still has for the pipe, as of the last look; null: it cannot say."""

    events: int | None
    oldest_seconds: float | None


class Pipe(Struct, frozen=True, kw_only=True):
    """A pipe, its definition and how it is doing; `revision` counts the changes."""

    id: UUID
    name: str
    revision: int
    source: PipeFrom = field(name="from")
    schema: str | ChosenSchema | None
    script: str | None
    sink: PipeTo = field(name="to")
    batch: PipeBatch
    state: PipeState
    trouble: str | None
    trouble_since: datetime | None
    lag: PipeLag
    counts: EventCounts
    rates: EventRates
    dead_letters: int
    last_event_at: datetime | None
    created_at: datetime
    updated_at: datetime


class AcceptedEvents(Struct, frozen=True, kw_only=True):
    """Response to events: how many are stored, and the ids of the first and the last."""

    accepted: int
    first: str
    last: str


def _only_member(spec: PipeFrom | PipeTo, pointer: str) -> Any:  # noqa: ANN401 - of any kind of connector
    names = spec.__struct_fields__
    members = [each for name in names if (each := getattr(spec, name)) is not UNSET]
    if len(members) != 1:
        raise invalid(pointer, f"must have exactly one of {', '.join(names)}")
    return members[0]
