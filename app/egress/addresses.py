"""Tell public addresses from those of this host, its network and its cloud.

The lists are those of IANA's special-purpose registries (RFC 6890). They stand here, since the
`is_global` of Python's ipaddress changes between patch releases.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Final, TypeAlias

from app.errors import CrivoError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class InvalidNetworks(CrivoError):
    """A setting of networks holds something else than addresses and networks."""


_INWARD_V4: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; metadata of Alibaba Cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the host of a virtual machine in Azure
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# All public IPv6 addresses are in this one. Outside it are loopback, link-local, unique local and
# multicast addresses, and those that embed an IPv4 address: mapped (::ffff:0:0/96), compatible
# (::/96), local NAT64 (64:ff9b:1::/48).
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_INWARD_V6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocol assignments, with Teredo, which embeds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# Where a network has IPv6 only, its resolver embeds public IPv4 addresses here.
_NAT64: Final = IPv6Network("64:ff9b::/96")
# ISATAP: the last 64 bits are 0:5efe, or 200:5efe, and an IPv4 address.
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})


def is_public(address: Address) -> bool:
    """Return whether an address belongs to a host of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in each for each in _INWARD_V4)
    if address in _NAT64:
        return is_public(reached_by(address))
    if address.scope_id is not None or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return address in _PUBLIC_V6 and not any(address in each for each in _INWARD_V6)


def reached_by(address: Address) -> Address:
    """Return the IPv4 address that an address embeds for NAT64, else the address itself."""
    if address.version == 6 and address in _NAT64:  # noqa: PLR2004 - IPv6
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def parse_networks(setting: str, text: str) -> tuple[Network, ...]:
    """Parse addresses and networks, separated by commas. Raises InvalidNetworks."""
    parts = [each.strip() for each in text.split(",")]
    try:
        return tuple(ip_network(each) for each in parts if each)
    except ValueError as error:
        raise InvalidNetworks(f"{setting}={text!r}: {error}") from None


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether one of the networks has the address."""
    return any(address.version == each.version and address in each for each in networks)
