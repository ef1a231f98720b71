"""Read the labels of a submission: how many and how large first, then each by itself."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from app.executions.model import Labels
from app.http.bodies import invalid, invalid_parameter
from app.http.validation import (
    Fault,
    InvalidTexts,
    convert_texts,
    decode_json,
    refused_parameters,
)
from app.limits import MAX_LABELS

# Sixteen of the longest labels have some 4,200 characters, of which JSON may write each as
# twelve bytes.
_MAX_BYTES: Final = 64 * 1024


class _Labelled(Struct, frozen=True, kw_only=True):
    labels: Labels


def labels_in_json(raw: Raw | UnsetType) -> dict[str, str]:
    """Read the member `labels` of an envelope.

    The size is asked first: to decode and check each entry of a large object takes seconds.
    Raises InvalidRequest, which names every label that is wrong.
    """
    content = b"{}" if raw is UNSET else bytes(raw)
    if len(content) > _MAX_BYTES:
        raise invalid("/labels", f"has {len(content)} bytes; {MAX_LABELS} labels are the limit")
    return decode_json(b'{"labels":' + content + b"}", _Labelled).labels


def labels_in_query(texts: Sequence[str]) -> dict[str, str]:
    """Read parameters `label=name:value`. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise invalid_parameter("label", f"{text!r} is not name:value")
        if name in found:
            raise invalid_parameter("label", f"{name!r} comes more than once")
        found[name] = value
    try:
        return convert_texts({"labels": found}, _Labelled).labels
    except InvalidTexts as error:
        faults = [Fault(("label",), each.message) for each in error.faults]
        raise refused_parameters(faults) from None
