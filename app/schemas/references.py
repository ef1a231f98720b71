"""Find the registered schemas that a document refers to."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from msgspec import Struct

from app.references import NAME_PATTERN
from app.sandbox.schema_checks import URI_PREFIX
from app.schemas.document import escape_token

_URI: Final = re.compile(rf"{re.escape(URI_PREFIX)}([^@#]*)@([1-9][0-9]{{0,8}})(?:#.*)?", re.DOTALL)
_KEYWORDS: Final = ("$ref", "$dynamicRef")


class NotJson(Exception):
    """The document is not JSON, or is nested too deeply; the message says which."""


class Reference(Struct, frozen=True):
    """A text that begins as the URI of a registered schema does, and the version it names exactly.

    Both are None for any other text, such as one that names an alias.
    """

    pointer: str
    text: str
    name: str | None
    version: int | None


def find_references(document: bytes) -> list[Reference]:
    """Return what may refer to registered schemas. Raises NotJson.

    Only V8 knows which members are keywords: one of these may be part of an `enum`. So they are
    candidates for the closure; what does not resolve is found when V8 compiles the schema.
    """
    return [
        _reference(pointer, text)
        for pointer, text in _keyword_texts(_parse(document))
        if text.startswith(URI_PREFIX)
    ]


def _parse(document: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        # Numbers stay texts: Python limits their length, JSON does not.
        return json.loads(
            document.decode(), parse_int=str, parse_float=str, parse_constant=_reject_constant
        )
    except RecursionError:
        raise NotJson("is nested too deeply") from None
    except ValueError as error:
        raise NotJson(f"is not JSON: {error}") from None


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"there is no {constant}")


def _keyword_texts(root: object) -> Iterator[tuple[str, str]]:
    """Yield the texts under the keywords, with their pointers, in the order of the document."""
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(
                (f"{pointer}/{index}", each) for index, each in reversed(list(enumerate(value)))
            )
        elif isinstance(value, dict):
            for keyword in _KEYWORDS:
                text = value.get(keyword)
                if isinstance(text, str):
                    yield f"{pointer}/{keyword}", text
            waiting.extend(
                (f"{pointer}/{escape_token(name)}", each)
                for name, each in reversed(value.items())
                if isinstance(each, list | dict)
            )


def _reference(pointer: str, text: str) -> Reference:
    match = _URI.fullmatch(text)
    if match is None or re.match(NAME_PATTERN, match[1]) is None:
        return Reference(pointer, text, None, None)
    return Reference(pointer, text, match[1], int(match[2]))
