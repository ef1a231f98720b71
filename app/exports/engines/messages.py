"""Define what a worker of an engine answers for a task of an export, as MessagePack."""

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from app.exports.work import Outcome


class Finished(Struct, frozen=True, tag=True):
    """The task has run to an outcome, which is not recorded yet."""

    outcome: Outcome


class NotValid(Struct, frozen=True, tag=True):
    """The token is no longer valid, or another attempt has begun under it."""


class Failed(Struct, frozen=True, tag=True):
    """The task cannot succeed, whoever repeats it: `TaskFailed`."""

    kind: str
    message: str
    details: dict[str, object]


class Lost(Struct, frozen=True, tag=True):
    """Another attempt may succeed, and this one counts: `TaskLost`."""

    reason: str


class InputMissing(Struct, frozen=True, tag=True):
    """What the task reads is not there."""

    reason: str


class Unreachable(Struct, frozen=True, tag=True):
    """The destination with files that the task reads cannot be used: `DestinationUnavailable`."""

    reason: str


class Interrupted(Struct, frozen=True, tag=True):
    """A store, the database or the host has trouble: this attempt does not count."""

    reason: str


class Faulty(Struct, frozen=True, tag=True):
    """The program has a fault, or the worker a folder that it may not use: this attempt counts."""

    reason: str


Answer: TypeAlias = (
    Finished | NotValid | Failed | Lost | InputMissing | Unreachable | Interrupted | Faulty
)

ANSWER_DECODER: Final = msgspec.msgpack.Decoder(Answer)
encode: Final = msgspec.msgpack.Encoder().encode
