"""Declare the settings of datasets, which are part of all settings."""

from typing import Annotated, Final

from msgspec import Meta

from app.callback_settings import CallbackSettings
from app.limits import MIB

_MAX_DAYS: Final = 36_500


class DatasetSettings(CallbackSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long snapshots and uploads are kept, how much there may be, and what readers cache."""

    default_keep_snapshots: Annotated[
        int,
        Meta(
            description="newest snapshots of a dataset that are kept; 0: all of them",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    default_keep_snapshots_days: Annotated[
        int,
        Meta(
            description="days after which a snapshot of a dataset is deleted, except the newest; "
            "0: never",
            ge=0,
            le=_MAX_DAYS,
        ),
    ] = 0
    max_datasets: Annotated[
        int, Meta(description="datasets that a tenant may have; 429 above; 0: no limit", ge=0)
    ] = 10_000
    max_open_uploads: Annotated[
        int,
        Meta(
            description="uploads that a tenant may have begun and not committed, including files "
            "that are being received; 429 above; 0: no limit",
            ge=0,
        ),
    ] = 1_000
    max_active_runs: Annotated[
        int,
        Meta(description="runs of a tenant that have not ended; 429 above; 0: no limit", ge=0),
    ] = 100
    max_active_exports: Annotated[
        int,
        Meta(description="exports of a tenant that have not ended; 429 above; 0: no limit", ge=0),
    ] = 20
    upload_hours: Annotated[
        int,
        Meta(
            description="hours after which an upload that gets no more parts is deleted",
            ge=1,
            le=8_760,
        ),
    ] = 24
    records_cache_bytes: Annotated[
        int,
        Meta(
            description="memory for indexes and records that an API process has read",
            ge=8 * MIB,
        ),
    ] = 64 * MIB
