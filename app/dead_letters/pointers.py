"""Hash the JSON pointers of an error document, so that letters are found by them."""

import hashlib
import json
from typing import Final

_HASH_BYTES: Final = 8


def pointer_hashes(error: bytes) -> list[int]:
    """Return the hashes of the pointers of a document's schema errors, without duplicates."""
    # msgspec refuses lone surrogates, which keys of an event can hold.
    found = json.loads(error).get("schema_errors") or ()
    return sorted({pointer_hash(each["pointer"]) for each in found})


def pointer_hash(pointer: str) -> int:
    """Hash a pointer to what PostgreSQL's bigint holds; lone surrogates are allowed."""
    digest = hashlib.sha256(pointer.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:_HASH_BYTES], signed=True)
