"""Read multipart forms: UTF-8 only, with a bounded number of parts."""

from typing import Final

from msgspec import Struct
from multipart import (  # type: ignore[import-untyped] # has no type information
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from app.errors import MalformedRequest
from app.http.bodies import AnyRequest, UnsupportedMediaType, require_utf8, stream_body

# The largest form has nine fields. The remainder leaves room for unknown fields, which the error
# then names.
MAX_PARTS: Final = 32
# RFC 2046, 5.1.1.
_MAX_BOUNDARY: Final = 70
# RFC 7578, 4.7: deprecated, but these three leave the bytes unchanged.
_IDENTITY_ENCODINGS: Final = frozenset({"7bit", "8bit", "binary"})
# RFC 7578, 4.6: this field names the character set of the others.
_CHARSET_FIELD: Final = "_charset_"


class FormPart(Struct, frozen=True):
    """One part of a form, a text or a file, as bytes."""

    name: str
    content: bytes


async def read_form(request: AnyRequest, *, max_bytes: int) -> list[FormPart]:
    """Read a multipart form (RFC 7578) and return its parts in order.

    Parsing yields to other requests after every chunk. Raises MalformedRequest,
    UnsupportedMediaType for a part that is not UTF-8 or is encoded, BodyTooLarge, ClientGone.
    """
    parser = _parser_of(request)
    parts: list[FormPart] = []
    segment: MultipartSegment | None = None
    content = bytearray()
    try:
        async for chunk in stream_body(request, max_bytes=max_bytes):
            for event in parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    segment, content = event, bytearray()
                    _require_readable(event)
                elif event:
                    content += event
                elif segment is not None:
                    parts.append(FormPart(segment.name or "", bytes(content)))
                    segment = None
            if parser.closed:
                break
        parser.close()
    except ParserLimitReached:
        raise MalformedRequest(
            f"the form has more than {MAX_PARTS} fields, or a field with headers above 4 KiB"
        ) from None
    except MultipartError as error:
        # Further arguments, such as a Python exception, are not for clients.
        raise MalformedRequest(f"the form cannot be read: {error.args[0]}") from None
    except UnicodeDecodeError:
        raise MalformedRequest("the form cannot be read: a header is not UTF-8") from None
    return [part for part in parts if not _names_utf8(part)]


def _parser_of(request: AnyRequest) -> PushMultipartParser:
    boundary = request.content_type[1].get("boundary", "")
    if not boundary or len(boundary) > _MAX_BOUNDARY:
        raise MalformedRequest(
            "the form's Content-Type needs a boundary of 1 to 70 characters; HTTP clients add one "
            "unless Content-Type is set by hand"
        )
    try:
        return PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
    except (MultipartError, UnicodeEncodeError) as error:
        raise MalformedRequest(f"the form cannot be read: {error}") from None


def _require_readable(segment: MultipartSegment) -> None:
    name = segment.name or ""
    require_utf8(segment.charset, what=f"the form's field {name!r}")
    for header, value in segment.headerlist:
        if header == "Content-Transfer-Encoding" and value.lower() not in _IDENTITY_ENCODINGS:
            raise UnsupportedMediaType(
                f"the form's field {name!r} has Content-Transfer-Encoding {value[:40]!r}; "
                "send its bytes as they are"
            )


def _names_utf8(part: FormPart) -> bool:
    """Check a `_charset_` field, which describes the form and is not one of its values."""
    if part.name != _CHARSET_FIELD:
        return False
    require_utf8(part.content[:40].decode("ascii", "replace"), what="the form")
    return True
