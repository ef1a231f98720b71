"""Declare the default quotas of tenants; app.settings includes them."""

from typing import Annotated

from msgspec import Meta, Struct


class QuotaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotas of tenants that have none of their own."""

    default_max_queued: Annotated[
        int, Meta(description="executions that a tenant may have queued; 0: no quota", ge=0)
    ] = 200_000
    default_max_running: Annotated[
        int, Meta(description="executions that a tenant may have running; 0: no quota", ge=0)
    ] = 0
    default_max_stored_bytes: Annotated[
        int,
        Meta(
            description="bytes of inputs, results, logs, datasets and events that a tenant "
            "may have stored; 0: no quota",
            ge=0,
        ),
    ] = 0
    default_max_bytes_per_day: Annotated[
        int,
        Meta(
            description="bytes of inputs, datasets and events that a tenant may submit in one "
            "day (UTC); 0: no quota",
            ge=0,
        ),
    ] = 0
    default_max_scripts: Annotated[
        int,
        Meta(
            description="scripts that a tenant may have, including archived ones; 0: no quota", ge=0
        ),
    ] = 10_000
    default_max_versions: Annotated[
        int, Meta(description="versions of all scripts that a tenant may have; 0: no quota", ge=0)
    ] = 100_000
    max_schemas: Annotated[
        int,
        Meta(
            description="schemas that a tenant may have, including archived ones; 429 above; "
            "0: no limit",
            ge=0,
        ),
    ] = 10_000
    max_schema_versions: Annotated[
        int,
        Meta(
            description="versions of all schemas that a tenant may have; 429 above; 0: no limit",
            ge=0,
        ),
    ] = 100_000
    default_max_requests_per_second: Annotated[
        int, Meta(description="requests that a tenant may make per second; 0: no quota", ge=0)
    ] = 0
