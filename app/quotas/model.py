"""Define quotas and the caps that a tenant has for them."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from app.settings import Settings

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Bytes = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Quota(StrEnum):
    """What a tenant can use up; the database's functions use these names, too."""

    QUEUED = "queued"
    STORED_BYTES = "stored-bytes"
    BYTES_PER_DAY = "bytes-per-day"
    SCRIPTS = "scripts"
    VERSIONS = "versions"
    REQUESTS = "requests"
    PENDING_CALLBACKS = "pending-callbacks"
    SCHEMAS = "schemas"
    SCHEMA_VERSIONS = "schema-versions"
    DATASETS = "datasets"
    OPEN_UPLOADS = "open-uploads"
    ACTIVE_RUNS = "active-runs"
    ACTIVE_EXPORTS = "active-exports"
    PIPES = "pipes"


class Caps(Struct, frozen=True, kw_only=True):
    """A tenant's limits; null stands for the installation's default.

    `max_versions` counts the versions of all scripts, `max_stored_bytes` inputs, results, logs, the
    parts of datasets, waiting events and dead letters.
    """

    max_queued: Count | None = None
    max_running: Count | None = None
    max_stored_bytes: Bytes | None = None
    max_bytes_per_day: Bytes | None = None
    max_scripts: Count | None = None
    max_versions: Count | None = None
    max_requests_per_second: Count | None = None


def effective_caps(settings: Settings, caps: Caps) -> Caps:
    """Fill in the installation's defaults; None in the result means no limit."""
    defaults = {name: getattr(settings, f"default_{name}") or None for name in asdict(caps)}
    own = {name: cap for name, cap in asdict(caps).items() if cap is not None}
    return replace(caps, **{**defaults, **own})
