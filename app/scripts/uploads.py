"""Read an upload in its three forms: JSON, the raw file, a multipart form."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from app.errors import InvalidRequest, invalid
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    described_type,
    media_type_of,
    read_body,
    read_json,
    require_identity_encoding,
    require_utf8,
    single_values,
)
from app.http.forms import read_form
from app.http.openapi import RAW_TEXT, Shape
from app.limits import LIMIT_NAMES, MAX_UPLOAD_BYTES
from app.scripts.model import AddVersion, CheckScript, CreateScript
from app.scripts.validation import invalid_utf8
from app.validation import (
    Fault,
    InvalidTexts,
    convert_texts,
    refused,
    refused_parameters,
    unknown,
)

T = TypeVar("T", CreateScript, AddVersion, CheckScript)

RAW_TYPES = ("text/javascript", "application/javascript", "text/plain")

# A sample is for the JSON form: its bytes are JSON already.
_NO_TEXTS = ("source", "limits", "sample", "params", "seed")


def upload_content(shape: type[CreateScript | AddVersion | CheckScript]) -> dict[str, Shape]:
    """Give what the OpenAPI document says of an upload's body."""
    form = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            **{name: {"type": "string"} for name in _texts(shape)},
            **{name: {"type": "integer"} for name in LIMIT_NAMES},
        },
        "required": ["file", *(["name"] if "name" in _texts(shape) else [])],
    }
    return {
        "application/json": shape,
        "text/javascript": RAW_TEXT,
        "multipart/form-data": form,
    }


async def read_upload(request: AnyRequest, shape: type[T]) -> T:
    """Read an upload.

    Raises UnsupportedMediaType, MalformedRequest, InvalidRequest, BodyTooLarge, and
    InvalidScript when a file is not UTF-8.
    """
    require_identity_encoding(request)
    media_type = media_type_of(request)
    # Elsewhere the name is in the address, or there is none.
    named = "name" in _texts(shape)
    raw = f"-H 'Content-Type: text/javascript'{', and ?name=…' if named else ''}"
    if media_type in ("multipart/form-data", "application/json") and request.query_params:
        message = "goes with the file itself, as text/javascript; put it into the body here"
        raise refused_parameters([Fault((each,), message) for each in request.query_params])
    if media_type == "multipart/form-data":
        return await _read_form(request, shape)
    if media_type in RAW_TYPES:
        require_utf8(request.content_type[1].get("charset"), what="the file")
        source = await read_body(request, max_bytes=MAX_UPLOAD_BYTES)
        return _shaped(shape, source, single_values(request), refused_parameters)
    if media_type == "application/json":
        hint = f"; a script's file goes as it is with {raw}"
        return await read_json(request, shape, max_bytes=MAX_UPLOAD_BYTES, hint=hint)
    form = f"curl {'-F name=… ' if named else ''}-F file=@script.js"
    raise UnsupportedMediaType(
        f"{described_type(request)}; send a form ({form}), the file itself ({raw}), or JSON "
        "(-H 'Content-Type: application/json')"
    )


async def _read_form(request: AnyRequest, shape: type[T]) -> T:
    fields: dict[str, str] = {}
    source: bytes | None = None
    for part in await read_form(request, max_bytes=MAX_UPLOAD_BYTES):
        name, content = part.name, part.content
        if name in fields or (name in ("file", "source") and source is not None):
            raise invalid(f"/{name}", "the form has this more than once")
        if name in ("file", "source"):
            source = content
        else:
            fields[name] = _text(name, content)
    if source is None:
        raise invalid("/file", "the form has no file; curl sends one with -F file=@script.js")
    return _shaped(shape, source, fields, refused)


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise invalid(f"/{name}", "is not UTF-8") from None


def _shaped(
    shape: type[T],
    source: bytes,
    fields: dict[str, str],
    refused: Callable[[Sequence[Fault]], InvalidRequest],
) -> T:
    """Make the same struct that the JSON form gives, from a file and plain texts.

    `refused` makes the problem of what does not fit, which the client knows by flat names.
    """
    known = (*_texts(shape), *LIMIT_NAMES)
    faults: list[Fault] = [
        Fault((each,), unknown(each, known)) for each in fields if each not in known
    ]
    if "name" in known and "name" not in fields:
        message = "a script needs a name: ?name=… beside a file, name=… in a form"
        faults.append(Fault(("name",), message))
    texts = {name: fields[name] for name in _texts(shape) if name in fields}
    limits = {name: fields[name] for name in LIMIT_NAMES if name in fields}
    members = {**texts, "source": _decoded(source), "limits": limits}
    try:
        made = convert_texts(members, shape)
    except InvalidTexts as error:
        named = {each.path for each in faults}
        # Forms and queries know no `/limits`.
        flat = [Fault(each.path[-1:], each.message) for each in error.faults]
        faults.extend(each for each in flat if each.path not in named)
        raise refused(faults) from None
    if faults:
        raise refused(faults)
    return made


def _texts(shape: type[Struct]) -> tuple[str, ...]:
    return tuple(name for name in shape.__struct_fields__ if name not in _NO_TEXTS)


def _decoded(source: bytes) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        raise invalid_utf8(source, error.start) from None
