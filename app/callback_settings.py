"""Declare the settings of callbacks; app.settings includes them."""

from typing import Annotated

from msgspec import Meta

from app.connector_settings import ConnectorSettings


class CallbackSettings(ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of requests that the API sends when executions end."""

    callbacks: Annotated[
        bool,
        Meta(
            description="`false`: submissions with a `callback_url` are refused, and this API "
            "process delivers none"
        ),
    ] = True
    callback_http: Annotated[
        bool, Meta(description="`true`: callbacks may go to `http://`, unencrypted")
    ] = False
    callback_private_networks: Annotated[
        str,
        Meta(
            description="addresses and networks that callbacks may reach although they are not "
            "public, separated by commas: `10.2.0.0/16`; empty: none"
        ),
    ] = ""
    callback_denied_networks: Annotated[
        str,
        Meta(
            description="addresses and networks that callbacks never reach although they are "
            "public, such as the installation's own and its NAT64 prefix; empty: none"
        ),
    ] = ""
    callback_slots: Annotated[
        int,
        Meta(
            description="callbacks that one API process sends at once; half of them for one "
            "tenant, a quarter to one host",
            ge=1,
            le=1_000,
        ),
    ] = 64
    max_pending_callbacks: Annotated[
        int,
        Meta(
            description="callbacks of a tenant that may wait for their delivery; submissions "
            "with a `callback_url` get 429 above; 0: no limit",
            ge=0,
        ),
    ] = 10_000
