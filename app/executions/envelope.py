"""Define the envelope of a submission."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from app.executions.callback_urls import CallbackUrl
from app.executions.model import Labels
from app.limits import LimitChoice, Priority, Seed
from app.validation import (
    RAW_SHAPE,
)

# `<id or name>@<version or alias>`: longer than any valid one, so the parser names the fault.
Reference = Annotated[str, Meta(max_length=200)]
# Decoded only after a check of its size, by `labels_in_json`.
_LABELS_SCHEMA: Final = {**msgspec.json.schema(Labels), "default": {}}
RawLabels = Annotated[Raw, Meta(extra_json_schema=_LABELS_SCHEMA, extra={RAW_SHAPE: Labels})]


class Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /executions`. `data` and `params` (64 KiB) keep their exact bytes."""

    script: Reference
    data: Raw
    params: Raw | UnsetType = UNSET
    limits: LimitChoice = LimitChoice()
    seed: Seed | None = None
    labels: RawLabels | UnsetType = UNSET
    priority: Priority = 0
    callback_url: CallbackUrl | None = None
