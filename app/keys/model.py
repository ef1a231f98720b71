"""API keys as data: `crv_<id>_<secret>`, of which the database has the id and a hash."""

import hashlib
import re
import secrets
import zlib
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Meta, Struct

from app.errors import CrivoError, Problem
from app.http.access import Caps, Scope

_SECRET_BYTES: Final = 32
# After `crv_`, 32 hexadecimal digits and `_`.
_SECRET_AT: Final = 37
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
# A seeded key is somebody else's: at least as long as ours, and not so long that it costs.
_KEY: Final = re.compile(r"crv_(?P<id>[0-9a-f]{32})_(?P<secret>[A-Za-z0-9_-]{43,128})")


# Bytes of a secret that do not repeat what came before them: of 43 random ones, nearly all.
_LEAST_NEW_BYTES: Final = 32
_LEAST_CHARACTERS: Final = 6
_WORDS: Final = re.compile(r"password|changeme|change-me|change_me|secret|example", re.IGNORECASE)


class CreateKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /keys`.

    `tenant` is a tenant's id or name. Scopes do not imply one another; `admin` is for keys of
    the tenant `default` only. Without `expires_at` the key is valid until it is revoked.
    """

    tenant: Annotated[str, Meta(max_length=63)] = "default"
    name: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")] = ""
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(Scope))]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Key(Struct, frozen=True, kw_only=True):
    """A key without its secret; `last_used_at` is some seconds late."""

    id: UUID
    tenant_id: UUID
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A key as it was made: `key` is what a client sends, and is shown this once."""

    key: str


class StoredKey(Struct, frozen=True, kw_only=True):
    """What the database knows of a key and its tenant, to verify a request by."""

    id: UUID
    tenant_id: UUID
    secret_sha256: bytes
    scopes: list[Scope]
    expires_at: datetime | None
    revoked_at: datetime | None
    suspended: bool
    weight: int
    caps: Caps


class Presented(Struct, frozen=True, kw_only=True):
    """A key as a client sends it, taken apart."""

    id: UUID
    secret_sha256: bytes


class KeyNotFound(Problem):
    """No key has that id."""

    status = 404
    code = "key-not-found"
    title = "There is no such key"


class KeyIdTaken(CrivoError):
    """A key with this id is there already."""


def parse_key_id(text: str) -> UUID:
    """Read a key's id, as a UUID or as the key itself has it. Raises KeyNotFound."""
    if _ID.fullmatch(text):
        return UUID(text)
    raise KeyNotFound("that is not a key's id; GET /keys lists them")


def new_key() -> str:
    """Make a key: the id of a row to be, and 256 bits that nobody can guess."""
    return f"crv_{uuid.uuid7().hex}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def is_weak(key: str) -> bool:
    """Say whether a key's secret is obviously none: it repeats itself, counts up, or is a word.

    What is random passes, in hexadecimal or decimal digits, too; what passes need not be random.
    """
    secret = key[_SECRET_AT:]
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    counting = sum(step in (-1, 0, 1) for step in steps)
    # Six bytes are zlib's own.
    new_bytes = len(zlib.compress(secret.encode(), level=9)) - 6
    return (
        len(set(secret)) < _LEAST_CHARACTERS
        or new_bytes < _LEAST_NEW_BYTES
        or counting * 3 > len(steps) * 2
        or _WORDS.search(secret) is not None
    )


def parse_key(key: str) -> Presented | None:
    """Read a key; None for a text that is none, however long or odd.

    The secret is hashed by SHA-256 alone. Slow hashes with salts are for passwords, which
    people choose and dictionaries hold; of 256 random bits nobody can try a noticeable part,
    and a slow hash would cost every request what it costs an attacker.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    digest = hashlib.sha256(found["secret"].encode()).digest()
    return Presented(id=UUID(found["id"]), secret_sha256=digest)
