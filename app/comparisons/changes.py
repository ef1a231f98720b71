"""Encode where two results differ for the database, whatever text the results hold.

As JSON, a lone surrogate in a name or a value could be written and not be read again.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from app.comparisons.model import Change


class _Stored(Struct, frozen=True, array_like=True):
    pointer: bytes
    before: bytes | None
    before_bytes: int | None
    after: bytes | None
    after_bytes: int | None


def encode_changes(changes: Sequence[Change]) -> bytes:
    """Return the changes as MessagePack."""
    stored = [
        _Stored(
            bytes(each.pointer),
            _or_none(each.before),
            each.before_bytes or None,
            _or_none(each.after),
            each.after_bytes or None,
        )
        for each in changes
    ]
    return msgspec.msgpack.encode(stored)


def decode_changes(stored: bytes) -> list[Change]:
    """Return the changes that `encode_changes` has encoded."""
    return [
        Change(
            pointer=Raw(each.pointer),
            before=UNSET if each.before is None else Raw(each.before),
            before_bytes=each.before_bytes or UNSET,
            after=UNSET if each.after is None else Raw(each.after),
            after_bytes=each.after_bytes or UNSET,
        )
        for each in msgspec.msgpack.decode(stored, type=list[_Stored])
    ]


def _or_none(value: Raw | UnsetType) -> bytes | None:
    return None if isinstance(value, UnsetType) else bytes(value)
