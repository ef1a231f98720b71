"""Receive an upload: as JSON, as the file itself, or as a multipart form."""

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import Struct

from app.errors import invalid
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
from app.scripts.upload_check import invalid_utf8
from app.validation import Fault, InvalidTexts, convert_texts, refused, refused_parameters, unknown

T = TypeVar("T", CreateScript, AddVersion, CheckScript)

RAW_TYPES: Final = ("text/javascript", "application/javascript", "text/plain")

_FORM: Final = "multipart/form-data"
_JSON: Final = "application/json"
# Members that are not plain texts; a sample, its params and its seed need the JSON form.
_NOT_TEXTS: Final = ("source", "limits", "sample", "params", "seed")
# The form's fields for the source.
_FILE_FIELDS: Final = ("file", "source")


def upload_content(shape: type[CreateScript | AddVersion | CheckScript]) -> dict[str, Shape]:
    """Describe an upload's body for the OpenAPI document."""
    form = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            **{name: {"type": "string"} for name in _texts_of(shape)},
            **{name: {"type": "integer"} for name in LIMIT_NAMES},
        },
        "required": ["file", *(["name"] if "name" in _texts_of(shape) else [])],
    }
    return {_JSON: shape, "text/javascript": RAW_TEXT, _FORM: form}


async def receive_upload(request: AnyRequest, shape: type[T]) -> T:
    """Read an upload in whichever of the three forms its media type names.

    Raises UnsupportedMediaType, MalformedRequest, InvalidRequest, BodyTooLarge, and
    InvalidScript for a file that is not UTF-8.
    """
    require_identity_encoding(request)
    media_type = media_type_of(request)
    if media_type == _FORM:
        return await _receive_form(request, shape)
    if media_type in RAW_TYPES:
        return await _receive_file(request, shape)
    if media_type == _JSON:
        return await _receive_json(request, shape)
    form = f"curl {'-F name=… ' if 'name' in _texts_of(shape) else ''}-F file=@script.js"
    raise UnsupportedMediaType(
        f"{described_type(request)}; send a form ({form}), the file itself ({_raw_hint(shape)}), "
        "or JSON (-H 'Content-Type: application/json')"
    )


async def _receive_form(request: AnyRequest, shape: type[T]) -> T:
    _refuse_parameters(request)
    fields: dict[str, str] = {}
    source: bytes | None = None
    for part in await read_form(request, max_bytes=MAX_UPLOAD_BYTES):
        name, content = part.name, part.content
        if name in fields or (name in _FILE_FIELDS and source is not None):
            raise invalid(f"/{name}", "the form has this more than once")
        if name in _FILE_FIELDS:
            source = content
        else:
            fields[name] = _decode_field(name, content)
    if source is None:
        raise invalid("/file", "the form has no file; curl sends one with -F file=@script.js")
    try:
        return _build(shape, source, fields)
    except InvalidTexts as error:
        raise refused(error.faults) from None


async def _receive_file(request: AnyRequest, shape: type[T]) -> T:
    require_utf8(request.content_type[1].get("charset"), what="the file")
    source = await read_body(request, max_bytes=MAX_UPLOAD_BYTES)
    try:
        return _build(shape, source, single_values(request))
    except InvalidTexts as error:
        raise refused_parameters(error.faults) from None


async def _receive_json(request: AnyRequest, shape: type[T]) -> T:
    _refuse_parameters(request)
    hint = f"; a script's file goes as it is with {_raw_hint(shape)}"
    return await read_json(request, shape, max_bytes=MAX_UPLOAD_BYTES, hint=hint)


def _build(shape: type[T], source: bytes, fields: Mapping[str, str]) -> T:
    """Build the struct that the JSON form is decoded into, from a file and plain texts.

    Raises InvalidTexts, whose faults have the flat names of forms and queries: `wall_ms`, not
    `/limits/wall_ms`.
    """
    texts: tuple[str, ...] = _texts_of(shape)
    known = (*texts, *LIMIT_NAMES)
    faults = [Fault((name,), unknown(name, known)) for name in fields if name not in known]
    if "name" in known and "name" not in fields:
        message = (
            "the script has no name: add ?name=… if the body is the file, a field name=… to a form"
        )
        faults.append(Fault(("name",), message))
    members = {
        **{name: fields[name] for name in texts if name in fields},
        "source": _decode_source(source),
        "limits": {name: fields[name] for name in LIMIT_NAMES if name in fields},
    }
    try:
        upload = convert_texts(members, shape)
    except InvalidTexts as error:
        reported = {fault.path for fault in faults}
        flat = [Fault(fault.path[-1:], fault.message) for fault in error.faults]
        faults.extend(fault for fault in flat if fault.path not in reported)
        raise InvalidTexts(faults) from None
    if faults:
        raise InvalidTexts(faults)
    return upload


def _refuse_parameters(request: AnyRequest) -> None:
    if request.query_params:
        message = "goes with the file itself, as text/javascript; put it into the body here"
        raise refused_parameters([Fault((name,), message) for name in request.query_params])


def _raw_hint(shape: type[Struct]) -> str:
    # The other routes have the name in their path, or need none.
    parameter = ", and ?name=…" if "name" in _texts_of(shape) else ""
    return f"-H 'Content-Type: text/javascript'{parameter}"


def _texts_of(shape: type[Struct]) -> tuple[str, ...]:
    return tuple(name for name in shape.__struct_fields__ if name not in _NOT_TEXTS)


def _decode_field(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise invalid(f"/{name}", "is not UTF-8") from None


def _decode_source(source: bytes) -> str:
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        raise invalid_utf8(source, error.start) from None
