"""Decide whether the API may serve requests without keys."""

import ipaddress
from functools import lru_cache

from app.settings import Settings


# An open API asks it of the Host of every request, which has at most 32 KiB.
@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_local_only(settings: Settings) -> bool:
    """Return whether only this machine can reach the API, according to the settings.

    In a container that is decided by the address at which the container's port is published.
    """
    return is_loopback(settings.bind or settings.host)


def is_open_without_keys(settings: Settings) -> bool:
    """Return whether no request needs a key for as long as no key exists."""
    return settings.auth != "keys" and (is_local_only(settings) or settings.insecure_listen)
