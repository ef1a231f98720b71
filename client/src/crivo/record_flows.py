"""Flows of records: one by its key, many by theirs, and lines in their order."""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from msgspec import Raw

from crivo.bodies import Body, encode
from crivo.dataset_flows import path_of, show
from crivo.dataset_models import Record, RecordDocument
from crivo.errors import NotFound, Problem
from crivo.json_text import decode
from crivo.models import Page
from crivo.options import as_query
from crivo.retries import Flow
from crivo.session import Session
from crivo.wire import JSON, Request, segment

# A string, or a number, compared by its text: 1 and 1.0 are two keys. Raw is a key's JSON as it is.
Key: TypeAlias = str | int | float | Raw

MAX_KEYS: Final = 1_000
# The values that the API lists of one key; it has no pages of them.
MAX_HISTORY: Final = 1_000
# Longer keys do not fit into an address.
_MAX_SEGMENT: Final = 4_000
_NEXT: Final = re.compile(r'<([^>?]+)\?([^>]*)>; *rel="?next"?')


def record(session: Session, dataset: str, key: Key) -> Flow[Record]:
    """Find the record of a key. Raises NotFound."""
    if not _fits_an_address(key):
        [found] = yield from _find(session, dataset, [key])
        if found is None:
            raise _no_record(dataset)
        return found
    reply = yield from session.deliver(_request_of(dataset, key, {}))
    number = reply.headers.get("crivo-snapshot", "")
    if not number.isdigit():
        raise reply.unexpected("a record")
    return Record(content=reply.content, snapshot=int(number))


def history(session: Session, dataset: str, key: Key, *, limit: int) -> Flow[list[Record]]:
    """List the values of a key, newest first, each with the snapshot that added it."""
    request = _request_of(dataset, key, {"history": True, "limit": limit})
    found = yield from session.fetch(request, list[RecordDocument])
    return [each for each in map(_record_in, found) if each is not None]


class KeyPages:
    """Many keys, asked for in pages that are all read from one snapshot."""

    def __init__(self, session: Session, dataset: str, keys: Sequence[Key]) -> None:
        """Take the keys."""
        self._session = session
        self._dataset = dataset
        self._keys = keys

    def page(self, cursor: str | None) -> Flow[Page[tuple[Key, Record | None]]]:
        """Find the records of the next keys; None for one that has none."""
        if cursor is None and len(self._keys) > MAX_KEYS and "@" not in self._dataset:
            latest = (yield from show(self._session, self._dataset)).latest_snapshot
            if latest is not None:
                self._dataset = f"{self._dataset}@{latest.number}"
        start = int(cursor or 0)
        keys = self._keys[start : start + MAX_KEYS]
        found = (yield from _find(self._session, self._dataset, keys)) if keys else []
        end = start + MAX_KEYS
        return Page(
            items=list(zip(keys, found, strict=True)),
            next_cursor=str(end) if end < len(self._keys) else None,
        )


def lines_page(
    session: Session, dataset: str, cursor: str | None, *, start: int, size: int
) -> Flow[Page[bytes]]:
    """Read lines from one on, without their ends; the next page is of the same snapshot."""
    path, query = path_of(dataset, "records"), as_query({"from": start, "limit": size})
    if cursor is not None:
        path, _, rest = cursor.partition("?")
        query = parse_qsl(rest, keep_blank_values=True)
    reply = yield from session.deliver(Request(method="GET", path=path, query=query))
    following = _NEXT.search(reply.headers.get("link", ""))
    return Page(
        items=reply.content.split(b"\n")[:-1],
        next_cursor=None if following is None else "?".join(following.groups()),
    )


def _find(session: Session, dataset: str, keys: Sequence[Key]) -> Flow[list[Record | None]]:
    request = Request(
        method="POST",
        path=path_of(dataset, "records"),
        headers=JSON,
        body=Body(b'{"keys":[%b]}' % b",".join(map(_as_json, keys))),
    )
    reply = yield from session.deliver(request)
    found = [_record_in(decode(each, RecordDocument)) for each in reply.content.split(b"\n")[:-1]]
    if len(found) != len(keys):
        raise reply.unexpected("a line for each key")
    return found


def _request_of(dataset: str, key: Key, options: dict[str, object]) -> Request:
    kind = None if isinstance(key, str) else "number"
    return Request(
        method="GET",
        path=path_of(dataset, f"records/{_segment_of(key)}"),
        query=as_query({"type": kind, **options}),
    )


def _segment_of(key: Key) -> str:
    return segment(key if isinstance(key, str) else _as_json(key).decode())


def _as_json(key: Key) -> bytes:
    if isinstance(key, bool) or not isinstance(key, Key):
        raise TypeError(f"a key is a str or a number, not {type(key).__name__}")
    return bytes(key) if isinstance(key, Raw) else encode(key)


def _fits_an_address(key: Key) -> bool:
    """Whether a key is one segment that no server or proxy takes for another address."""
    if not isinstance(key, str):
        # Only numbers are written as they are.
        return not _as_json(key).lstrip().startswith(b'"')
    try:
        quoted = _segment_of(key)
    except UnicodeEncodeError:
        return False
    return bool(key.strip("/")) and key not in {".", ".."} and len(quoted) <= _MAX_SEGMENT


def _record_in(document: RecordDocument) -> Record | None:
    if document.snapshot is None:
        return None
    return Record(content=bytes(document.record), snapshot=document.snapshot)


def _no_record(dataset: str) -> NotFound:
    return NotFound(
        Problem(
            type="urn:crivo:problem:record-not-found",
            title="The snapshot has no such record",
            status=404,
            detail=f"no record of {dataset!r} has this key",
        )
    )
