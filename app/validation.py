"""Report every invalid value of a request, in plain words.

msgspec stops at the first invalid value. Only what it has refused is examined here, member by
member, so valid requests cost nothing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import msgspec.inspect as kinds
from msgspec import Raw, Struct, UnsetType

from app.errors import InvalidRequest, clipped, invalid
from app.wording import counted, expected, shown

T = TypeVar("T")

MAX_FAULTS: Final = 20
# `Meta(extra={RAW_SHAPE: …})` of a member that stays encoded: the type that it is decoded to later.
RAW_SHAPE: Final = "raw_shape"
# How many of them the detail repeats; `errors` lists all.
_IN_DETAIL: Final = 3
# Larger values are reported as a whole.
_MAX_PART_BYTES: Final = 256 * 1024
# msgspec ends its messages with the place: "Expected `int`, got `str` - at `$.limits.wall_ms`".
# The path consists of Crivo's own names, and so is short; a client's name may have 16 MB.
_PLACE: Final = re.compile(r" - at `(?P<path>\$[^`]*)`\Z")
_MAX_PLACE: Final = 300
_MAX_MESSAGE: Final = 1_000
_UNKNOWN: Final = "Object contains unknown field `"
# What is looked into, part by part; a tuple has any number of one type.
_PARTED: Final = (list, tuple, dict)
# Longer names are truncated in pointers.
_MAX_POINTED: Final = 100


class Fault(Struct, frozen=True):
    """One invalid value: its path in the request, and what is wrong with it."""

    path: tuple[str, ...]
    message: str

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer (RFC 6901), with long names truncated."""
        names = (clipped(each, _MAX_POINTED) for each in self.path)
        return "".join(f"/{each.replace('~', '~0').replace('/', '~1')}" for each in names)


def decode_json(body: bytes, shape: type[T]) -> T:
    """Decode JSON into a struct.

    Raises InvalidRequest with every invalid member, and msgspec's DecodeError for invalid JSON.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise refused(_faults(Raw(body), shape, error)) from None


def convert_texts(texts: Mapping[str, object], shape: type[T]) -> T:
    """Convert the texts of a query or a form to a struct. Raises InvalidTexts."""
    try:
        return msgspec.convert(texts, shape, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidTexts(_faults(dict(texts), shape, error)) from None


class InvalidTexts(ValueError):
    """Invalid texts, for a caller that knows whether they come from a query or a form."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Take the faults."""
        super().__init__("; ".join(each.message for each in faults))
        self.faults = tuple(faults)


def refused(faults: Sequence[Fault]) -> InvalidRequest:
    """Return the error for members of a body or fields of a form."""
    errors = [{"pointer": each.pointer, "message": each.message} for each in faults]
    said = [f"{each.pointer}: {each.message}" if each.path else each.message for each in faults]
    return InvalidRequest(_detail(said), errors=errors)


def refused_parameters(faults: Sequence[Fault]) -> InvalidRequest:
    """Return the error for query parameters."""
    named = [(clipped(each.path[0], _MAX_POINTED), each.message) for each in faults]
    errors = [
        {"parameter": name, "pointer": f"/{name}", "message": message} for name, message in named
    ]
    said = [f"query parameter {name}: {message}" for name, message in named]
    return InvalidRequest(_detail(said), errors=errors)


def in_utc(name: str, value: datetime) -> datetime:
    """Convert a time to UTC. Raises InvalidRequest where its year is out of range there."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise invalid(f"/{name}", "is outside the years 1 to 9999 in UTC") from None


def _detail(said: Sequence[str]) -> str:
    more = len(said) - _IN_DETAIL
    return "; ".join(said[:_IN_DETAIL]) + (f"; and {more} more" if more > 0 else "")


def _faults(value: object, shape: type, error: msgspec.ValidationError) -> list[Fault]:
    if len(str(error)) > _MAX_MESSAGE:
        # It repeats a client's name of up to 16 MB, and each pass over that takes long.
        return [_first(error, shape)]
    # May raise DecodeError: the rest, which msgspec has not read, may be invalid JSON.
    faults: list[Fault] = []
    _take_apart(value, shape, (), faults)
    return faults or [_first(error, shape)]


def _look(value: object, annotation: Any, path: tuple[str, ...], faults: list[Fault]) -> None:  # noqa: ANN401 - a type
    inner = _inner(annotation)
    origin = get_origin(inner) or inner
    if len(faults) >= MAX_FAULTS or _is_large(value, origin) or _fits(value, annotation):
        return
    _take_apart(value, annotation, path, faults)


def _take_apart(value: object, annotation: Any, path: tuple[str, ...], faults: list[Fault]) -> None:  # noqa: ANN401 - a type
    """Collect the faults within an invalid value."""
    inner = _struct_of(value, _inner(annotation))
    origin = get_origin(inner) or inner
    before = len(faults)
    found = _opened(value, origin)
    if isinstance(found, Mapping) and isinstance(inner, type) and issubclass(inner, Struct):
        _look_into_struct(found, inner, path, faults)
        return
    if isinstance(found, Mapping) and origin is dict:
        of_name, of_value = get_args(inner)
        for name, each in found.items():
            if not _fits(name, of_name) and len(faults) < MAX_FAULTS:
                message = f"names must be {expected(of_name)}"
                faults.append(Fault((*path, name), message))
            _look(each, of_value, (*path, name), faults)
    elif isinstance(found, list):
        of_item = get_args(inner)[0]
        for index, each in enumerate(found):
            _look(each, of_item, (*path, str(index)), faults)
    if len(faults) == before:
        got = shown(value) if found is None else counted(found)
        faults.append(Fault(path, f"expected {expected(annotation)}, got {got}"))


def _look_into_struct(
    members: Mapping[str, object], shape: type[Struct], path: tuple[str, ...], faults: list[Fault]
) -> None:
    info = kinds.type_info(shape)
    assert isinstance(info, kinds.StructType)  # noqa: S101 - of a struct
    hints = _hints(shape)
    known = {each.encode_name: each for each in info.fields}
    for name, field in known.items():
        if name in members:
            _look(members[name], _shape_of(hints[field.name]), (*path, name), faults)
        elif field.required and len(faults) < MAX_FAULTS:
            faults.append(Fault((*path, name), f"`{name}` is missing"))
    if info.forbid_unknown_fields:
        for name in members:
            if name not in known and len(faults) < MAX_FAULTS:
                faults.append(Fault((*path, name), unknown(name, known)))


def unknown(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return the message for an unknown name."""
    return f"`{clipped(name)}` is unknown here; known names: {', '.join(known) or 'none'}"


def _is_large(value: object, origin: object) -> bool:
    """Return whether a value is too large to examine; msgspec reports it if it comes first."""
    return isinstance(value, Raw) and origin in _PARTED and len(value) > _MAX_PART_BYTES


def _fits(value: object, annotation: Any) -> bool:  # noqa: ANN401 - a type
    try:
        if isinstance(value, Raw):
            msgspec.json.decode(value, type=annotation)
        else:
            msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _opened(value: object, origin: object) -> Mapping[str, object] | list[object] | None:
    """Return the undecoded members or items of a value; None if it has none."""
    if not isinstance(value, Raw):
        return value if isinstance(value, dict | list) else None
    if isinstance(origin, type) and issubclass(origin, Struct):
        if len(value) <= _MAX_PART_BYTES:
            members: dict[str, object] | None = _read(value, dict[str, Raw])
            return members
        # Of a large object only the known members: there may be any number of others.
        found = _read(value, _shallow(origin))
        return None if found is None else _members(found)
    if origin in _PARTED:
        parts: list[object] | None = _read(value, dict[str, Raw] if origin is dict else list[Raw])
        return parts
    return None


def _read(value: Raw, shape: Any) -> Any:  # noqa: ANN401 - a type, and what is of it
    try:
        return msgspec.json.decode(value, type=shape)
    except msgspec.ValidationError:
        return None


@lru_cache(maxsize=64)
def _shallow(shape: type[Struct]) -> type[Struct]:
    fields = [(name, Raw | UnsetType, msgspec.UNSET) for name in shape.__struct_encode_fields__]
    return msgspec.defstruct(f"Shallow{shape.__name__}", fields)


def _members(found: Struct) -> dict[str, object]:
    each = {name: getattr(found, name) for name in found.__struct_fields__}
    return {name: value for name, value in each.items() if value is not msgspec.UNSET}


@lru_cache(maxsize=64)
def _hints(shape: type[Struct]) -> dict[str, Any]:
    return get_type_hints(shape, include_extras=True)


def _shape_of(annotation: Any) -> Any:  # noqa: ANN401 - a type
    inner = annotation
    if get_origin(inner) in (Union, UnionType):
        [inner, *others] = [each for each in get_args(inner) if each is not UnsetType]
        if others:
            return annotation
    notes = get_args(inner)[1:] if get_origin(inner) is Annotated else ()
    shapes = [each.extra[RAW_SHAPE] for each in notes if RAW_SHAPE in (each.extra or {})]
    return shapes[0] if shapes else annotation


def _inner(annotation: Any) -> Any:  # noqa: ANN401 - a type
    """Strip Optional, UnsetType and Annotated from a type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _inner(get_args(annotation)[0])
    if origin in (Union, UnionType):
        choices = [each for each in get_args(annotation) if each not in (NoneType, UnsetType)]
        return _inner(choices[0]) if len(choices) == 1 else annotation
    return annotation


def _struct_of(value: object, choices: Any) -> Any:  # noqa: ANN401 - a type
    """Return that of several types which an object can only be; other types as they are."""
    if get_origin(choices) not in (Union, UnionType):
        return choices
    choice = [each for each in get_args(choices) if isinstance(each, type)]
    structs = [each for each in choice if issubclass(each, Struct)]
    is_object = isinstance(value, Raw) and bytes(memoryview(value)[:1]) == b"{"
    return structs[0] if len(structs) == 1 and is_object else choices


def _first(error: msgspec.ValidationError, shape: type) -> Fault:
    """Return msgspec's own fault, the only one known."""
    message = str(error)
    found = _PLACE.search(message[-_MAX_PLACE:])
    path = found["path"] if found else "$"
    # `[...]` stands for a key that msgspec omits: the path ends above it.
    place = path.removeprefix("$").partition("[...]")[0].replace("[", ".").replace("]", "")
    parts = tuple(each for each in place.split(".") if each)
    if message.startswith(_UNKNOWN):
        ending = len(found[0]) + 1 if found else 1
        start = len(_UNKNOWN)
        name = message[start : min(len(message) - ending, start + _MAX_POINTED + 1)]
        return Fault((*parts, name), f"`{clipped(name)}` is unknown here")
    annotation: Any = shape
    for part in parts:
        inner = _inner(annotation)
        known = isinstance(inner, type) and issubclass(inner, Struct) and part in _hints(inner)
        if not known:
            break
        annotation = _hints(inner)[part]
    return Fault(parts, f"expected {expected(annotation)}")
