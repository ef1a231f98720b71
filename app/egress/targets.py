"""Parse the URLs that users choose, so strictly that no other parser can read them otherwise.

A URL is taken apart here once, and its parts are what the client connects to and sends. Of the
many ways to write an address (octal, hexadecimal, as one number, with a zone, in Unicode), only
the canonical one is accepted.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

from app.egress.addresses import Address, Network, is_public, is_within, reached_by
from app.errors import CrivoError

MAX_URL_CHARACTERS: Final = 2_048
_MAX_NAME: Final = 253
_FIRST_UNPRIVILEGED_PORT: Final = 1_024
_MAX_PORT: Final = 65_535
_PORTS: Final = {"https": 443, "http": 80}

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<authority>[^/?#\\]*)(?P<target>[/?][^#\\]*)?(?P<rest>.*)",
    re.DOTALL,
)
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_TARGET: Final = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?\[\]]*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# A last label like this makes browsers and C libraries read the whole name as an IPv4 address.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that are never public (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal).
_INTERNAL: Final = re.compile(r"(.*\.)?(localhost|local|localdomain|internal|home\.arpa)")


class UnusableTarget(CrivoError):
    """A URL that requests are not sent to; the message says what to change."""


class Policy(Struct, frozen=True, kw_only=True):
    """Where requests may go: unencrypted, to networks that are not public, not to others."""

    http: bool = False
    private_networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()

    def allows(self, address: Address) -> bool:
        """Return whether requests may go to an address."""
        if any(is_within(each, self.denied_networks) for each in (address, reached_by(address))):
            return False
        return is_public(address) or is_within(address, self.private_networks)


class Target(Struct, frozen=True, kw_only=True):
    """The parts of a URL: `host` is a name in lower case or an address, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_target(url: str, policy: Policy) -> Target:
    """Take a URL apart. Raises UnusableTarget, also for an address that the policy excludes."""
    _require_short(url)
    match = _URL.fullmatch(url)
    if match is None or match["scheme"].lower() not in _PORTS:
        raise UnusableTarget("is not a URL that begins with https://")
    scheme = match["scheme"].lower()
    if scheme == "http" and not policy.http:
        raise UnusableTarget("begins with http://; use https://")
    if match["rest"].startswith("#"):
        raise UnusableTarget("has a fragment, which is never sent; omit it")
    if "@" in match["authority"]:
        raise UnusableTarget("holds a user name or a password; verify the signature instead")
    if not match["authority"].isascii():
        raise UnusableTarget("has a host name with other letters than ASCII; write it as xn--…")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise UnusableTarget("has no valid host")
    path = match["target"] or "/"
    if match["rest"] or not _TARGET.fullmatch(path):
        raise UnusableTarget("has characters in its path or query that must be percent-encoded")
    target = Target(
        scheme=scheme,
        host=_literal(authority["literal"], policy)
        if authority["literal"]
        else _name(authority["name"].lower(), policy),
        port=_port(authority["port"], scheme),
        path=path if path.startswith("/") else f"/{path}",
    )
    # Its one spelling may be longer.
    _require_short(target.url)
    return target


def address_in(host: str) -> Address | None:
    """Return the address that a target's host is; None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def _require_short(url: str) -> None:
    if len(url) > MAX_URL_CHARACTERS:
        raise UnusableTarget(f"is longer than {MAX_URL_CHARACTERS} characters")


def _literal(text: str, policy: Policy) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise UnusableTarget("has an invalid IPv6 address") from None
    return _allowed(address, policy)


def _name(name: str, policy: Policy) -> str:
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return _allowed(IPv4Address(name), policy)
        except AddressValueError:
            raise UnusableTarget("has an IPv4 address that is not four decimal numbers") from None
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(each) for each in labels):
        raise UnusableTarget("has an invalid host name")
    is_internal = len(labels) == 1 or _INTERNAL.fullmatch(name)
    if is_internal and not policy.private_networks:
        raise UnusableTarget("has a host name that is not public")
    return name


def _allowed(address: Address, policy: Policy) -> str:
    if not policy.allows(address):
        raise UnusableTarget("has an address that is not public")
    return str(address)


def _port(text: str | None, scheme: str) -> int:
    port = _PORTS[scheme] if text is None else int(text)
    # Ports of other services, such as mail, take no requests.
    if port not in _PORTS.values() and not _FIRST_UNPRIVILEGED_PORT <= port <= _MAX_PORT:
        raise UnusableTarget(f"has a port that is neither 80 nor 443 nor 1024 to {_MAX_PORT}")
    return port
