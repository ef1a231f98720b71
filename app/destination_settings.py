"""Declare the settings of where exports may write; app.settings includes them."""

from typing import Annotated

from msgspec import Meta

from app.engine_settings import EngineSettings


class DestinationSettings(EngineSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buckets and folders that tenants may export to."""

    export_destinations: Annotated[
        str,
        Meta(
            description="where tenants may export to, separated by commas: `s3://lake/{tenant}/`, "
            "`file:///mnt/lake/{tenant}/`, with `{tenant}` for the tenant's name; everything below "
            "is the tenant's; empty: nowhere, and files are downloaded",
            pattern=r"^([^\s,]+(,\s*[^\s,]+)*)?$(?!\n)",
        ),
    ] = ""
    export_s3_endpoint: Annotated[
        str,
        Meta(
            description="URL of another S3 than that of AWS; region and credentials are those of "
            "the worker's `AWS_…` variables",
            pattern=r"^(https?://\S+)?$(?!\n)",
        ),
    ] = ""
