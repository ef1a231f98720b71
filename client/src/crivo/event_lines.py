"""Send events as lines, piece by piece, and keep count of what is stored."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from crivo.bodies import Body
from crivo.errors import CrivoError
from crivo.pipe_models import AcceptedEvents
from crivo.retries import Flow
from crivo.session import Session
from crivo.wire import Request, path_to

_NDJSON: Final = {"Content-Type": "application/x-ndjson"}
# Lines of one request; the service takes 16 MiB, and a line of 1 MiB.
_PIECE_BYTES: Final = 4 * 1024 * 1024


class UnknownLines(Struct, frozen=True, kw_only=True):
    """Lines of one request that may be stored; sent again with its key, they are stored once."""

    first: int
    last: int
    idempotency_key: str


class SentLines(Struct, kw_only=True):
    """What has become of lines that are being sent, which are numbered from 1.

    `accepted` events are stored, those of the lines before `next_line`. Of `unknown`, which begin
    there, it is not known.
    """

    accepted: int = 0
    next_line: int = 1
    unknown: UnknownLines | None = None


def send_lines(
    session: Session,
    name: str,
    lines: Iterable[bytes],
    *,
    from_line: int = 1,
    idempotency_key: str | None = None,
    sent: SentLines | None = None,
) -> Flow[SentLines]:
    """Send lines in their order, those before `from_line` excepted.

    `idempotency_key` is that of lines which an earlier call has left unknown, and `sent` is kept up
    to date. Raises CrivoError.
    """
    sent = SentLines() if sent is None else sent
    sent.next_line = from_line
    for piece in pieces_of(lines, from_line=from_line):
        key = idempotency_key or str(uuid.uuid4())
        sent.unknown = UnknownLines(first=piece.first, last=piece.last, idempotency_key=key)
        request = Request(
            method="POST",
            path=path_to("pipes", name, "events"),
            headers=_NDJSON,
            body=Body(piece.body),
            creates=True,
            key=key,
        )
        # The service may be restarted meanwhile; one that has never responded is not waited for.
        asked = session.patient() if session.contact.is_made else session
        try:
            accepted = yield from asked.fetch(request, AcceptedEvents)
        except CrivoError as error:
            # Without a key to repeat it with, it has certainly not been carried out.
            if error.idempotency_key is None and idempotency_key is None:
                sent.unknown = None
            raise
        sent.accepted += accepted.accepted
        sent.next_line = piece.last + 1
        sent.unknown = idempotency_key = None
    return sent


class Piece(Struct, frozen=True, kw_only=True):
    """Whole lines that one request sends, and the numbers of the first and the last."""

    first: int
    last: int
    body: bytes


def pieces_of(lines: Iterable[bytes], *, from_line: int) -> Iterator[Piece]:
    """Gather lines, without or with their ends; where a piece begins decides where it ends.

    Blank lines stay, so that the service counts lines as a reader of the file does.
    """
    first, has_events, body = from_line, False, bytearray()
    number = from_line - 1
    for number, line in enumerate(lines, 1):
        if number < from_line:
            continue
        bare = line.rstrip(b"\r\n")
        is_event = bool(bare.strip())
        if body and len(body) + len(bare) > _PIECE_BYTES:
            if has_events:
                yield Piece(first=first, last=number - 1, body=bytes(body))
            first, has_events, body = number, False, bytearray()
        has_events = has_events or is_event
        body += (bare if is_event else b"") + b"\n"
    if has_events:
        yield Piece(first=first, last=number, body=bytes(body))
