"""Define what a worker and an engine's workers send each other, as MessagePack."""

from typing import Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from app.executions.model import Finish


class Assignment(Struct, frozen=True, kw_only=True):
    """A claimed part: its execution, the token of the claim, and the worker that has made it."""

    execution: UUID
    token: int
    worker: UUID


class Finished(Struct, frozen=True, tag=True):
    """The part has run to an outcome, which is not recorded yet."""

    finish: Finish


class NotValid(Struct, frozen=True, tag=True):
    """The token is no longer valid, or another attempt has begun under it."""


class HostFailed(Struct, frozen=True, tag=True):
    """The engine's worker is at fault, not the part."""

    reason: str


class Failed(Struct, frozen=True, tag=True):
    """The platform has failed, and the part may be at fault."""

    reason: str


Answer: TypeAlias = Finished | NotValid | HostFailed | Failed


class ProofRequest(Struct, frozen=True, kw_only=True):
    """Asks an engine's worker for a proof, which it also looks for in its database."""

    worker: UUID


class Proof(Struct, frozen=True, kw_only=True, tag=True):
    """What an engine's worker is, as measured in a cell of its sandbox.

    `knows_worker`: its database has the worker that asks. `trouble`: it cannot store blobs.
    """

    version: str
    v8_version: str
    lockdown: dict[str, str]
    max_memory_bytes: int | None
    knows_worker: bool
    trouble: str | None


class Unproven(Struct, frozen=True, tag=True):
    """It cannot run parts, and why: it has no sandbox or no database, for example."""

    reason: str


PROOF_DECODER: Final = msgspec.msgpack.Decoder(Proof | Unproven)
ANSWER_DECODER: Final = msgspec.msgpack.Decoder(Answer)
encode: Final = msgspec.msgpack.Encoder().encode
