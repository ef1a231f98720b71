"""Parse the labels of a submission: a JSON object, or parameters of a query."""

from collections.abc import Sequence

from msgspec import UNSET, Raw, Struct, UnsetType

from app.errors import invalid, invalid_parameter
from app.executions.model import Labels
from app.limits import MAX_LABELS, MAX_LABELS_BYTES
from app.validation import Fault, InvalidTexts, convert_texts, decode_json, refused_parameters


class _Labelled(Struct, frozen=True, kw_only=True):
    labels: Labels


def labels_in_json(raw: Raw | UnsetType) -> dict[str, str]:
    """Parse the member `labels` of an envelope.

    The size is checked first: decoding and validating each entry of a large object takes seconds.
    Raises InvalidRequest, which names every invalid label.
    """
    content = b"{}" if raw is UNSET else bytes(raw)
    if len(content) > MAX_LABELS_BYTES:
        raise invalid("/labels", f"has {len(content)} bytes; {MAX_LABELS} labels are the limit")
    return decode_json(b'{"labels":' + content + b"}", _Labelled).labels


def labels_in_query(texts: Sequence[str]) -> dict[str, str]:
    """Parse the parameters `label=name:value`. Raises InvalidRequest."""
    labels: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise invalid_parameter("label", f"{text!r} is not name:value")
        if name in labels:
            raise invalid_parameter("label", f"{name!r} is given more than once")
        labels[name] = value
    try:
        return convert_texts({"labels": labels}, _Labelled).labels
    except InvalidTexts as error:
        faults = [Fault(("label",), fault.message) for fault in error.faults]
        raise refused_parameters(faults) from None
