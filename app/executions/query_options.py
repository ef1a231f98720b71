"""Read the options of a submission from a query."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.executions.callback_urls import CallbackUrl, callback_url_in_query
from app.executions.labels import labels_in_query
from app.executions.model import LABEL_NAME, Submission
from app.limits import (
    MAX_LABEL_VALUE_CHARACTERS,
    MAX_LABELS,
    CpuMs,
    LimitChoice,
    MemoryBytes,
    OutputBytes,
    Priority,
    Seed,
    WallMs,
)
from app.scripts.params import read_params
from app.settings import Settings

_LABEL: Final = rf"^{LABEL_NAME}:[^\x00]{{0,{MAX_LABEL_VALUE_CHARACTERS}}}$(?!\n)"


class RawSubmissionQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a submission whose body is the data itself."""

    wall_ms: Annotated[WallMs, Meta(description="time limit, in ms")] | UnsetType = UNSET
    max_cpu_ms: Annotated[CpuMs, Meta(description="CPU time limit, in ms")] | UnsetType = UNSET
    memory_bytes: Annotated[MemoryBytes, Meta(description="memory limit")] | UnsetType = UNSET
    max_output_bytes: Annotated[OutputBytes, Meta(description="output limit")] | UnsetType = UNSET
    seed: Annotated[Seed, Meta(description="seed of `Math.random`")] | UnsetType = UNSET
    priority: (
        Annotated[
            Priority,
            Meta(description="higher ones run first among the tenant's own; 0 by default"),
        ]
        | UnsetType
    ) = UNSET
    params: (
        Annotated[
            str,
            Meta(
                description="JSON text for the second argument of `process`; use the envelope if "
                "it is too long for a URL",
                extra_json_schema={"contentMediaType": "application/json"},
            ),
        ]
        | UnsetType
    ) = UNSET
    label: (
        Annotated[
            list[Annotated[str, Meta(pattern=_LABEL)]],
            Meta(
                description="`name:value`, to find the execution by; repeat it for more",
                max_length=MAX_LABELS,
            ),
        ]
        | UnsetType
    ) = UNSET
    callback_url: (
        Annotated[
            CallbackUrl,
            Meta(description="`https://` URL that receives a signed request at the end"),
        ]
        | UnsetType
    ) = UNSET


def submission_in_query(
    settings: Settings, choices: RawSubmissionQuery, *, priority: int, media_type: str | None = None
) -> Submission:
    """Return the options that a query has; `priority` is that of a query without.

    Raises InvalidRequest.
    """
    limits = {name: getattr(choices, name) for name in LimitChoice.__struct_fields__}
    return Submission(
        limits=LimitChoice(**{name: each or None for name, each in limits.items()}),
        seed=None if choices.seed is UNSET else choices.seed,
        labels=labels_in_query(choices.label or []),
        priority=priority if choices.priority is UNSET else choices.priority,
        params=read_params(choices.params),
        callback_url=callback_url_in_query(
            settings, None if choices.callback_url is UNSET else choices.callback_url
        ),
        media_type=media_type,
    )
