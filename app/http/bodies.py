"""Read request bodies and queries, within limits, without decoding the user's data."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec import UNSET, Meta, UnsetType

from app.errors import MalformedRequest, Problem, invalid_parameter
from app.fair_queue import FairQueue
from app.http.authorization import caller_of
from app.http.content_digest import checked, content_digests_of
from app.http.decompression import ENCODINGS, decompressed
from app.off_loop import call_by_size
from app.sandbox.media_types import MAX_MEDIA_TYPE_CHARACTERS, OCTET_STREAM, is_media_type
from app.validation import (
    InvalidTexts,
    convert_texts,
    decode_json,
    in_utc,
    refused_parameters,
)

T = TypeVar("T")

AnyRequest = Request[Any, Any, Any]


class BodyTooLarge(Problem):
    """The body is over the limit of its route."""

    status = 413
    code = "body-too-large"
    title = "The body is too large"


class UnsupportedMediaType(Problem):
    """The route does not read bodies of this media type."""

    status = 415
    code = "unsupported-media-type"
    title = "The body's media type is not supported here"


class ClientGone(Problem):
    """The client closed its connection before its body was complete; nobody reads this answer."""

    status = 400
    code = "client-gone"
    title = "The body is incomplete"


_SHOWN_CHARACTERS: Final = 40
# Of curl -d and --data-binary, unless another is given.
_CURLS_DEFAULT: Final = "application/x-www-form-urlencoded"
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def media_type_of(request: AnyRequest) -> str:
    """Return the body's media type in lower case, without parameters; empty if missing."""
    return str(request.content_type[0]).lower()


def whole_media_type_of(request: AnyRequest) -> str:
    """Return the body's media type as it was sent, with parameters; a missing one is any bytes.

    Raises UnsupportedMediaType if Content-Type is not a media type.
    """
    sent = ",".join(request.headers.getall("content-type", [])).strip()
    if sent and not is_media_type(sent):
        raise UnsupportedMediaType(
            f"Content-Type {sent[:_SHOWN_CHARACTERS]!r} is not a media type such as image/png, of "
            f"up to {MAX_MEDIA_TYPE_CHARACTERS} characters"
        )
    return sent or OCTET_STREAM


def described_type(request: AnyRequest) -> str:
    """Describe the body's Content-Type, with a hint where a client sets it by default."""
    media_type = media_type_of(request)
    if media_type == _CURLS_DEFAULT:
        return (
            f"Content-Type is {media_type}, which is curl's default; curl -d also drops newlines, "
            "--data-binary keeps them"
        )
    return f"Content-Type is {media_type or 'missing'}"


def hint_at_newlines(request: AnyRequest) -> str:
    """Say, for an error about lines, how curl keeps their ends; empty if that is not the cause."""
    if media_type_of(request) != _CURLS_DEFAULT:
        return ""
    return "curl -d drops newlines, --data-binary and -T keep them"


def require_utf8(charset: str | None, *, what: str) -> None:
    """Refuse any character set other than UTF-8 and its subset ASCII.

    A client never chooses the codec: some of Python's take quadratic time, others produce text
    that PostgreSQL cannot store. Raises UnsupportedMediaType.
    """
    if charset is not None and charset.strip().lower() not in _UTF8:
        raise UnsupportedMediaType(f"{what} is in charset {charset[:40]!r}; send UTF-8")


def require_identity_encoding(request: AnyRequest) -> None:
    """Refuse a compressed body. Raises UnsupportedMediaType."""
    encoding_of(request, allowed={})


def encoding_of(request: AnyRequest, *, allowed: Mapping[str, str]) -> str | None:
    """Return the body's content encoding, None for identity.

    `allowed` maps accepted names to encodings. Raises UnsupportedMediaType for any other name.
    """
    encoding = ",".join(request.headers.getall("content-encoding", [])).strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in allowed:
        known = sorted(set(allowed.values()))
        choices = f"{' or '.join(known)}, or send the body" if known else "send the body"
        raise UnsupportedMediaType(
            f"Content-Encoding {encoding!r} is not supported here; {choices} as it is",
            headers={"Accept-Encoding": ", ".join(known) or "identity"},
        )
    return allowed[encoding]


def announced_bytes(request: AnyRequest) -> int:
    """Return the size that the request declares for its body, 0 if it declares none."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    return (request.content_length or 0) if encoding in ("", "identity") else 0


async def stream_body(
    request: AnyRequest, *, max_bytes: int, compressed: bool = False, digested: bool = False
) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, decompressed if the route accepts `compressed` bodies.

    Raises BodyTooLarge at the first byte over `max_bytes`, before or after decompression,
    ClientGone, UnsupportedMediaType for an unknown encoding, and MalformedRequest for a body
    that is not in the encoding it declares; with `digested`, also DigestMismatch at its end if it
    does not match its Content-Digest.
    """
    if "content-range" in request.headers:
        # Its bytes would be taken for the whole (RFC 9110, 14.5).
        raise MalformedRequest("a body is sent whole, without Content-Range")
    encoding = encoding_of(request, allowed=ENCODINGS if compressed else {})
    chunks = _received(request, max_bytes=max_bytes)
    if digested and (digests := content_digests_of(request)):
        chunks = checked(chunks, digests)
    if encoding is None:
        async for chunk in chunks:
            yield chunk
        return
    size_bytes = 0
    caller = caller_of(request)
    turns: FairQueue = request.app.state.decompression
    async for piece in decompressed(
        chunks, encoding, turns=turns, tenant=caller.tenant, weight=caller.weight
    ):
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise BodyTooLarge(f"the decompressed body has more than {max_bytes} bytes, the limit")
        yield piece


async def _received(request: AnyRequest, *, max_bytes: int) -> AsyncIterator[bytes]:
    announced = request.content_length
    if announced is not None and announced > max_bytes:
        raise BodyTooLarge(f"the body has {announced} bytes; the limit is {max_bytes}")
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes:
                raise BodyTooLarge(f"the body has more than {max_bytes} bytes, the limit")
            if chunk:
                yield chunk
    except InternalServerException as error:
        # Litestar raises this when the connection closes before the body is complete.
        raise ClientGone(f"the connection was closed after {received} bytes") from error


async def read_body(request: AnyRequest, *, max_bytes: int) -> bytes:
    """Read a whole body; for small ones only. Raises what stream_body raises."""
    return b"".join([chunk async for chunk in stream_body(request, max_bytes=max_bytes)])


async def read_json(request: AnyRequest, shape: type[T], *, max_bytes: int, hint: str = "") -> T:
    """Decode a JSON body into a struct; `hint` is appended to the error for invalid JSON.

    Raises UnsupportedMediaType, MalformedRequest for invalid JSON, and InvalidRequest with a
    JSON pointer to each member that does not fit the struct.
    """
    if media_type_of(request) != "application/json":
        raise UnsupportedMediaType(
            f"{described_type(request)}; send JSON with -H 'Content-Type: application/json'"
        )
    require_utf8(request.content_type[1].get("charset"), what="the body")
    body = await read_body(request, max_bytes=max_bytes)
    try:
        # What does not fit is read several times, to name each fault.
        return await call_by_size(len(body), decode_json, body, shape)
    except RecursionError:
        raise MalformedRequest(f"the JSON is nested too deeply for this route{hint}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"the body is not JSON: {error}{hint}") from None


def read_query(request: AnyRequest, shape: type[T], *, many: Collection[str] = ()) -> T:
    """Convert the query string to a struct; parameters named in `many` may repeat.

    Raises InvalidRequest for invalid, unknown and repeated parameters.
    """
    found = single_values(request, many=many)
    lists = {name: request.query_params.getall(name, []) for name in many if name in found}
    try:
        return convert_texts({**found, **lists}, shape)
    except InvalidTexts as error:
        raise refused_parameters(error.faults) from None


def single_values(request: AnyRequest, *, many: Collection[str] = ()) -> dict[str, str]:
    """Return the value of each query parameter.

    Raises InvalidRequest for a parameter that repeats and is not named in `many`: one of its
    values would be dropped silently.
    """
    query = request.query_params
    for name in query:
        if name not in many and len(query.getall(name)) > 1:
            raise invalid_parameter(name, "is given more than once")
    return {name: query[name] for name in query}


def parse_datetime(name: str, text: str | UnsetType) -> datetime | None:
    """Parse a timestamp in the query, None if it is not set. Raises InvalidRequest."""
    if text is UNSET:
        return None
    try:
        found: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        message = f"{text!r} is not a timestamp with a UTC offset, such as 2026-01-31T12:00:00Z"
        raise invalid_parameter(name, message) from None
    return in_utc(name, found)
