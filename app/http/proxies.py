"""Find the client's address behind trusted proxies, from X-Forwarded-For.

Each proxy appends the address of its peer, so the header is read from its right end: the first
address that is not a trusted proxy's is the client's. Anything left of it is unverified. An
unreadable hop ends the search at the proxy that reported it.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from app.errors import CrivoError
from app.http.asgi import App, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Longer than real chains of proxies; a client may send thousands.
_MAX_HOPS: Final = 32


class InvalidProxies(CrivoError):
    """The setting contains something other than addresses and networks."""


def trusted_networks(text: str) -> tuple[Network, ...]:
    """Parse the setting, comma-separated addresses and networks. Raises InvalidProxies."""
    networks = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ip_network(each))
        except ValueError as error:
            raise InvalidProxies(
                f"CRIVO_TRUSTED_PROXIES: {error}; write addresses or networks, such as "
                "10.0.0.7,192.168.0.0/16"
            ) from None
    return tuple(networks)


def behind_proxies(app: App, trusted: tuple[Network, ...]) -> App:
    """Wrap an application so that its scope's `client` is the client, not a proxy."""
    if not trusted:
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None and scope["type"] == "http":
            forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            address = client_address(str(client[0]), forwarded, trusted)
            if address is not None:
                scope["client"] = (address, client[1])
        await app(scope, receive, send)

    return answer


def client_address(
    peer: str, forwarded: Iterable[bytes], trusted: tuple[Network, ...]
) -> str | None:
    """Return the client's address for a request from `peer` with these X-Forwarded-For values.

    None if `peer` is not an address.
    """
    known = parse_address(peer)
    if known is None:
        return None
    hops = ",".join(each.decode("latin-1") for each in forwarded).rsplit(",", _MAX_HOPS)
    for hop in reversed(hops[-_MAX_HOPS:]):
        if not any(known in network for network in trusted):
            break
        before = parse_address(_without_port(hop.strip()))
        if before is None:
            break
        known = before
    return str(known)


def parse_address(text: str) -> Address | None:
    """Parse an address, dropping its zone (fe80::1%eth0), which PostgreSQL's inet lacks."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
