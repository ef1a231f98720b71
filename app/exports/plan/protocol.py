"""Define what the process of a task is sent, and what it answers: MessagePack with a length."""

import struct
from typing import Final, TypeAlias

from msgspec import Struct, msgpack

from app.exports.plan.model import Plan, Progress, Report, Resources, Task

LENGTH: Final = struct.Struct("!I")


class Request(Struct, frozen=True):
    """The one request of a process."""

    task: Task
    plan: Plan
    resources: Resources
    output: str


class Confined(Struct, frozen=True, tag="confined"):
    """The process has confined itself: what is in force, each `on` or `off` and why."""

    in_force: dict[str, str]


class Advanced(Struct, frozen=True, tag="advanced"):
    """The task has come further."""

    progress: Progress


class Done(Struct, frozen=True, tag="done"):
    """The task is done."""

    report: Report


class Failed(Struct, frozen=True, tag="failed"):
    """The task cannot succeed."""

    kind: str
    message: str
    details: dict[str, object]


class Broken(Struct, frozen=True, tag="broken"):
    """The host has failed; another attempt may succeed."""

    message: str


class Faulty(Struct, frozen=True, tag="faulty"):
    """The program has a fault, which each attempt finds; `report` is for those who mend it."""

    report: str


Message: TypeAlias = Confined | Advanced | Done | Failed | Broken | Faulty

encode: Final = msgpack.Encoder().encode
decode_request: Final = msgpack.Decoder(Request).decode
_messages: Final[msgpack.Decoder[Message]] = msgpack.Decoder(Message)


def decode_message(data: bytes) -> Message:
    """Decode a message. Raises msgspec.DecodeError."""
    return _messages.decode(data)
