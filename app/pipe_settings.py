"""Declare the settings of pipes, which are part of all settings."""

from typing import Annotated

from msgspec import Meta

from app.export_settings import ExportSettings
from app.limits import MAX_INBOX_BYTES, MAX_STREAMS_BYTES, MIB


class PipeSettings(ExportSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many pipes there may be, and how much may wait in their inboxes and in Redis."""

    max_pipes: Annotated[
        int, Meta(description="pipes that a tenant may have; 429 above; 0: no limit", ge=0)
    ] = 100
    max_pipe_inbox_bytes: Annotated[
        int,
        Meta(
            description="bytes of events that may wait in the inboxes of a tenant's pipes; "
            "429 above",
            ge=MIB,
        ),
    ] = MAX_INBOX_BYTES
    max_pipe_inbox_events: Annotated[
        int,
        Meta(description="the same in events", ge=1, le=100_000_000),
    ] = 1_000_000
    max_pipe_stream_bytes: Annotated[
        int,
        Meta(
            description="memory in Redis that the streams which a tenant's pipes write may have "
            "together; pipes wait above; 0: no limit",
            ge=0,
        ),
    ] = MAX_STREAMS_BYTES
