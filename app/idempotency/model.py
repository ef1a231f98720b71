"""Define idempotency keys and the problems of requests that carry one."""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec
from msgspec import NODEFAULT, Struct, structs

from app.errors import CrivoError, Problem

# The header, as draft-ietf-httpapi-idempotency-key-header has it.
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
MAX_KEY_CHARACTERS: Final = 255


class RequestKey(Struct, frozen=True):
    """The key of a request as its client sent it, and the request's method and path."""

    text: str
    route: str


class IdempotencyKey(Struct, frozen=True):
    """The key of a request, and the SHA-256 of what the request asks for."""

    text: str
    fingerprint: bytes


class Repeated(CrivoError):
    """An earlier request with this key has created the resource; nothing else was done."""

    def __init__(self, resource: str) -> None:
        """Name the resource by the id that its route takes."""
        super().__init__(f"created before: {resource}")
        self.resource = resource


class InvalidIdempotencyKey(Problem):
    """The header is not a key."""

    status = 400
    code = "invalid-idempotency-key"
    title = "Idempotency-Key is not a key"


class IdempotencyKeyReused(Problem):
    """The key belongs to a request that asked for something else."""

    status = 422
    code = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"

    def __init__(self) -> None:
        """Describe the difference."""
        super().__init__(
            "an earlier request with this Idempotency-Key had another route, other options, "
            "another media type or another body, or its resource was deleted and made anew; "
            "repeat that request as it was, or choose a new key"
        )


class RequestInProgress(Problem):
    """A request with the same key is being accepted at this moment."""

    status = 409
    code = "request-in-progress"
    title = "A request with this idempotency key is in progress"

    def __init__(self) -> None:
        """Ask for a retry after a second, which returns what that request creates."""
        super().__init__(
            "a request with this Idempotency-Key is being accepted; send it again",
            headers={"Retry-After": "1"},
        )


def key_for(key: RequestKey | None, *parts: object) -> IdempotencyKey | None:
    """Add the fingerprint of a request with these parts to its key, if it has one.

    msgspec must know how to encode the parts. The order of members in objects, such as labels,
    makes no difference, and neither does a member that has its default: a later release, which
    may know more of them, recognizes the request.
    """
    if key is None:
        return None
    asked = (key.route, *map(_without_defaults, parts))
    encoded = msgspec.json.encode(asked, order="deterministic")
    return IdempotencyKey(key.text, hashlib.sha256(encoded).digest())


def _without_defaults(part: object) -> object:
    if not isinstance(part, Struct):
        return part
    values = (
        (name, getattr(part, field), default) for name, field, default in _members(type(part))
    )
    return {name: _without_defaults(value) for name, value, default in values if value != default}


@cache
def _members(kind: type[Struct]) -> Sequence[tuple[str, str, object]]:
    """Return the name in JSON, the name and the default of each member, if it has one."""
    return [
        (
            each.encode_name,
            each.name,
            each.default if each.default_factory is NODEFAULT else each.default_factory(),
        )
        for each in structs.fields(kind)
    ]
