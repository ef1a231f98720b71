"""Derive what callbacks and pipes may reach from the settings."""

from app.egress.addresses import parse_networks
from app.egress.targets import Policy
from app.settings import Settings


def callback_policy(settings: Settings) -> Policy:
    """Return the policy of callbacks. Raises InvalidNetworks."""
    return Policy(
        http=settings.callback_http,
        private_networks=parse_networks(
            "CRIVO_CALLBACK_PRIVATE_NETWORKS", settings.callback_private_networks
        ),
        denied_networks=parse_networks(
            "CRIVO_CALLBACK_DENIED_NETWORKS", settings.callback_denied_networks
        ),
    )


def pipe_policy(settings: Settings) -> Policy:
    """Return the policy of pipes. Raises InvalidNetworks."""
    return Policy(
        http=settings.pipe_http,
        private_networks=parse_networks(
            "CRIVO_PIPE_PRIVATE_NETWORKS", settings.pipe_private_networks
        ),
        denied_networks=parse_networks("CRIVO_PIPE_DENIED_NETWORKS", settings.pipe_denied_networks),
    )
