"""Describe types and values in plain words, for error messages."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import msgspec.inspect as kinds
from msgspec import Raw

from app.errors import clipped

_MAX_SHOWN: Final = 60
# JSON may encode one character as six.
_MAX_LINE: Final = 6 * _MAX_SHOWN + 2
_LARGE_BYTES: Final = 4 * 1024
_TEXT: Final = "a text"
_KINDS: Final = {b"{": "an object", b"[": "a list", b'"': _TEXT}

# What a name consists of, in the words of a message.
NAMES: Final = (
    "lower-case letters, digits, '.', '_' and '-', beginning with a letter or a digit, 63 at most"
)
# Descriptions of the patterns in Crivo's structs.
_PATTERNS: Final = {
    r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)": NAMES,
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$(?!\n)": (
        "letters, digits, '.', '_', '/' and '-', beginning with a letter or a digit, 63 at most"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}:[^\x00]{0,200}$(?!\n)": (
        "name:value, the name of letters, digits, '.', '_', '/' and '-', 63 at most, the value "
        "of 200 characters at most"
    ),
    r"^[^\x00]*$": "a text without NUL",
    r"^(/[^\x00]*)?$": "a JSON pointer, which is empty or begins with /,",
}


@lru_cache(maxsize=512)
def expected(annotation: Any) -> str:  # noqa: ANN401 - a type
    """Describe a type, such as `a whole number from 1 to 200`."""
    return _words(kinds.type_info(annotation))


def shown(value: object) -> str:
    """Describe a value: a short one as JSON, a larger one by its kind."""
    if isinstance(value, Raw):
        kind = _KINDS.get(bytes(memoryview(value)[:_MAX_SHOWN]).lstrip()[:1])
        if kind is not None and (len(value) > _LARGE_BYTES or kind != _TEXT):
            return kind
        if len(value) > _LARGE_BYTES:
            return f"a number of {len(value)} digits"
        try:
            value = msgspec.json.decode(value)
        except msgspec.ValidationError:
            return "a number that is out of range"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        return f"a text of {len(value)} characters"
    # As JSON, so that it can be found in the request.
    return clipped(msgspec.json.encode(value).decode(), _MAX_LINE)


def printable(text: str) -> str:
    """Replace what UTF-8, or PostgreSQL's text and jsonb, cannot hold: lone surrogates and NUL."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", "\ufffd")


def counted(found: Collection[object]) -> str:
    """Describe the size of a list or an object."""
    return f"one of {len(found)}" if found else "an empty one"


def _words(kind: kinds.Type) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a kind
    match kind:
        case kinds.Metadata(type=inner):
            examples = (kind.extra_json_schema or {}).get("examples")
            form = f", as {msgspec.json.encode(examples[0]).decode()}" if examples else ""
            return f"{_words(inner)}{form}"
        case kinds.IntType():
            return f"a whole number{_range(kind.ge, kind.le)}"
        case kinds.FloatType():
            return f"a number{_range(kind.ge, kind.le)}"
        case kinds.StrType():
            return _text(kind)
        case kinds.BoolType():
            return "true or false"
        case kinds.NoneType():
            return "null"
        case kinds.EnumType(cls=cls):
            return _one_of([str(each.value) for each in cls])
        case kinds.LiteralType(values=values):
            return _one_of([str(each) for each in values])
        case kinds.DateTimeType():
            return "a timestamp with a UTC offset, such as 2026-01-31T12:00:00Z"
        case kinds.UUIDType():
            return "an id, such as 01a1fbeb-e362-742d-9594-29c5a8afd450"
        case kinds.ListType() | kinds.VarTupleType():
            return f"a list{_count(kind.min_length, kind.max_length, 'items')}"
        case kinds.DictType():
            return f"an object{_count(kind.min_length, kind.max_length, 'members')}"
        case kinds.StructType():
            return "an object"
        case kinds.UnionType(types=types):
            return _either(types)
        case _:
            return "another kind of value"


def _text(kind: kinds.StrType) -> str:
    text = _PATTERNS.get(kind.pattern or "", "a text")
    if kind.max_length is not None:
        text += f" of at most {kind.max_length} characters"
    return text


def _range(low: float | None, high: float | None) -> str:
    match low, high:
        case None, None:
            return ""
        case _, None:
            return f" of at least {low:g}" if isinstance(low, float) else f" of at least {low}"
        case None, _:
            return f" of at most {high}"
        case _:
            return f" from {low} to {high}"


def _count(low: int | None, high: int | None, what: Literal["items", "members"]) -> str:
    match low, high:
        case None | 0, None:
            return ""
        case None | 0, _:
            return f" of at most {high} {what}"
        case _, None:
            return f" of at least {low} {what}"
        case _:
            return f" of {low} to {high} {what}"


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"one of {', '.join(values)}"


def _either(types: Sequence[kinds.Type]) -> str:
    nulls = [each for each in types if isinstance(each, kinds.NoneType)]
    others = [_words(each) for each in types if not isinstance(each, kinds.NoneType)]
    return " or ".join([*others, *(["null"] if nulls else [])])
