"""Read objects of a store to their end, however long that takes."""

from collections.abc import AsyncGenerator
from typing import Final

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import ObjectStore

from app.limits import MIB

_CHUNK_BYTES: Final = 1 * MIB


async def read_object(
    store: ObjectStore, path: str, *, start: int = 0, end: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield an object from `start` up to `end`, about a MiB at a time.

    obstore ends a request after 30 s, in which it also counts the time that a slow reader takes. So
    what breaks off is read on from there, as long as each request brings something.

    Raises what the store raises; FileNotFoundError also if the object is replaced meanwhile.
    """
    options: obstore.GetOptions = {} if end is None else {"range": (start, end)}
    found = await obstore.get_async(store, path, options=options)
    at, end = found.range
    while at < end:
        begin = at
        try:
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                at += len(chunk)
                yield bytes(chunk)
        except (BaseError, OSError):
            if at == begin:
                raise
        else:
            return
        try:
            rest: obstore.GetOptions = {"range": (at, end), "if_match": found.meta["e_tag"]}
            found = await obstore.get_async(store, path, options=rest)
        except PreconditionError as error:
            raise FileNotFoundError(path) from error
