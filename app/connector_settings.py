"""Declare the settings of what pipes connect to; app.settings includes them."""

from typing import Annotated

from msgspec import Meta

from app.destination_settings import DestinationSettings


class ConnectorSettings(DestinationSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of streams, queues and URLs that pipes read and write."""

    pipe_redis_url: Annotated[
        str,
        Meta(
            description="Redis or Valkey 6.2 or newer with the streams of pipes, which must store "
            "them (`appendonly yes`, `appendfsync always`); empty: `REDIS_URL`",
            pattern=r"^((redis|rediss|unix)://\S+)?$(?!\n)",
        ),
    ] = ""
    pipe_sqs_queues: Annotated[
        str,
        Meta(
            description="names of the SQS queues that pipes may use, separated by commas: "
            "`{tenant}-*`, with `{tenant}` for the tenant's name and `*` for any characters; "
            "needs `requirements-sqs.lock`; empty: none",
            pattern=r"^([A-Za-z0-9_*{}.-]+(,\s*[A-Za-z0-9_*{}.-]+)*)?$(?!\n)",
        ),
    ] = ""
    pipe_sqs_endpoint: Annotated[
        str,
        Meta(
            description="URL of another SQS than that of AWS; region and credentials are those of "
            "the worker's `AWS_…` variables",
            pattern=r"^(https?://\S+)?$(?!\n)",
        ),
    ] = ""
    pipe_http: Annotated[
        bool, Meta(description="`true`: pipes may send events to `http://`, unencrypted")
    ] = False
    pipe_private_networks: Annotated[
        str,
        Meta(
            description="addresses and networks that pipes may send events to although they are "
            "not public, separated by commas: `10.2.0.0/16`; empty: none"
        ),
    ] = ""
    pipe_denied_networks: Annotated[
        str,
        Meta(
            description="addresses and networks that pipes never send events to although they are "
            "public; empty: none"
        ),
    ] = ""
