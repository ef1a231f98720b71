"""Read the labels of a submission: how many and how large first, then each by itself."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.errors import InvalidRequest
from app.executions.model import MAX_LABELS, LabelName, LabelValue
from app.http.bodies import invalid, invalid_by, pointer_token

# Sixteen of the longest labels have some 4,200 characters, of which JSON may write each as
# twelve bytes.
_MAX_BYTES: Final = 64 * 1024
_MAX_SHOWN: Final = 63


def labels_in_json(raw: Raw | UnsetType) -> dict[str, str]:
    """Read the member `labels` of an envelope.

    The size is asked first: to decode and check each entry of a large object takes seconds.
    Raises InvalidRequest, which names every label that is wrong.
    """
    content = b"{}" if raw is UNSET else bytes(raw)
    if len(content) > _MAX_BYTES:
        raise invalid("/labels", f"has {len(content)} bytes; {MAX_LABELS} labels are the limit")
    try:
        found = msgspec.json.decode(content, type=dict[str, object])
    except msgspec.ValidationError as error:
        message = invalid_by(error).errors[0]["message"]
        raise invalid("/labels", str(message)) from None
    pointers = {name: f"/labels/{pointer_token(name[:_MAX_SHOWN])}" for name in found}
    return _checked(found, pointers, below="/labels")


def labels_in_query(texts: Sequence[str]) -> dict[str, str]:
    """Read parameters `label=name:value`. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise invalid("/label", f"{text!r} is not name:value")
        if name in found:
            raise invalid("/label", f"{name!r} comes more than once")
        found[name] = value
    return _checked(found, dict.fromkeys(found, "/label"), below="/label")


def _checked(
    labels: Mapping[str, object], pointers: Mapping[str, str], *, below: str
) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise invalid(below, f"{len(labels)} labels; {MAX_LABELS} are the limit")
    checked = {}
    errors = []
    for name, value in labels.items():
        for what, text, kind in (("name", name, LabelName), ("value", value, LabelValue)):
            try:
                checked[name] = msgspec.convert(text, kind)
            except msgspec.ValidationError as error:
                message = f"the {what} of a label: {invalid_by(error).errors[0]['message']}"
                errors.append({"pointer": pointers[name], "message": message})
    if errors:
        detail = "; ".join(f"{each['message']} at {each['pointer']}" for each in errors)
        raise InvalidRequest(detail, errors=errors)
    return checked
