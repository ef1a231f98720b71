"""Define API keys: `crv_<id>_<secret>`, of which the database has the id and a hash."""

import hashlib
import re
import secrets
import zlib
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Meta, Struct

from app.auth.model import Scope
from app.errors import CrivoError, Problem
from app.quotas.model import Caps

_SECRET_BYTES: Final = 32
# After `crv_`, 32 hexadecimal digits and `_`.
_SECRET_AT: Final = 37
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
# CRIVO_ADMIN_KEY can have a longer secret than new_key makes; the limit bounds hashing's cost.
_KEY: Final = re.compile(r"crv_(?P<id>[0-9a-f]{32})_(?P<secret>[A-Za-z0-9_-]{43,128})")

# The size of a compressed secret; 43 random characters hardly compress.
_MIN_COMPRESSED_BYTES: Final = 32
_MIN_DISTINCT_CHARACTERS: Final = 6
_ZLIB_OVERHEAD_BYTES: Final = 6
_GUESSABLE_WORDS: Final = re.compile(
    r"password|changeme|change-me|change_me|secret|example", re.IGNORECASE
)


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
    """A key without its secret; `last_used_at` lags by some seconds.

    `scopes` are text: a newer release on the same database has given ones that are not known here.
    """

    id: UUID
    tenant_id: UUID
    name: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A new key: `key` is what a client sends, and is shown this once."""

    key: str


class StoredKey(Struct, frozen=True, kw_only=True):
    """The stored part of a key and its tenant, by which requests are verified."""

    id: UUID
    tenant_id: UUID
    secret_sha256: bytes
    scopes: list[Scope]
    expires_at: datetime | None
    revoked_at: datetime | None
    suspended: bool
    weight: int
    caps: Caps


class ParsedKey(Struct, frozen=True, kw_only=True):
    """The parts of a key as a client sends it, not verified."""

    id: UUID
    secret_sha256: bytes


class KeyNotFound(Problem):
    """No key has that id."""

    status = 404
    code = "key-not-found"
    title = "There is no such key"


class KeyIdTaken(CrivoError):
    """A key with this id exists already."""


def parse_key_id(text: str) -> UUID:
    """Parse a key's id, a UUID with or without hyphens. Raises KeyNotFound."""
    if _ID.fullmatch(text):
        return UUID(text)
    raise KeyNotFound("that is not a key's id; GET /keys lists them")


def new_key() -> str:
    """Generate a key: the id of its future row, and 256 random bits."""
    return f"crv_{uuid.uuid7().hex}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def is_weak(key: str) -> bool:
    """Return whether a key's secret can be guessed: it repeats itself, counts, or has a word in it.

    Random hexadecimal or decimal digits pass; a secret that passes is not necessarily random.
    """
    secret = key[_SECRET_AT:]
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    counting_steps = sum(step in (-1, 0, 1) for step in steps)
    compressed_bytes = len(zlib.compress(secret.encode(), level=9)) - _ZLIB_OVERHEAD_BYTES
    return (
        len(set(secret)) < _MIN_DISTINCT_CHARACTERS
        or compressed_bytes < _MIN_COMPRESSED_BYTES
        or counting_steps * 3 > len(steps) * 2
        or _GUESSABLE_WORDS.search(secret) is not None
    )


def parse_key(key: str) -> ParsedKey | None:
    """Split a key into its parts; None for any other text, however long.

    The secret is hashed with SHA-256 alone. Slow, salted hashes protect passwords, which people
    choose and dictionaries contain; 256 random bits cannot be searched, and a slow hash would
    cost every request what it costs an attacker.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    digest = hashlib.sha256(match["secret"].encode()).digest()
    return ParsedKey(id=UUID(match["id"]), secret_sha256=digest)
