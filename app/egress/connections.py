"""Connect to addresses that were checked, whatever a name resolves to a moment later."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

import httpcore
from typing_extensions import override

from app.egress.addresses import Address, is_within
from app.egress.errors import InwardTarget, NoAnswer
from app.egress.resolver import LookupFailed, Resolver
from app.egress.streams import BoundedBackend
from app.egress.targets import Policy, address_in

_MAX_ADDRESSES: Final = 4
# An address that drops packets leaves time for the next.
_CONNECT_SECONDS: Final = 4.0


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, checks every address, and connects to one of them.

    Above it, TLS and HTTP still use the name: for SNI, for the certificate, and as Host.
    """

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        """Take the policy, and what resolves names."""
        self._policy = policy
        self._resolver = resolver
        self._backend = BoundedBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host. Raises InwardTarget, NoAnswer."""
        reason = "the name has no address"
        for address in await self._addresses(host):
            try:
                stream = await self._backend.connect_tcp(
                    address, port, _CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                reason = f"{address}: {str(error) or type(error).__name__}"
                continue
            await self._require_elsewhere(stream, address)
            return stream
        raise NoAnswer(reason)

    async def _addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, all of them allowed. Raises InwardTarget, NoAnswer."""
        literal = address_in(host)
        found = await self._resolved(host) if literal is None else [literal]
        for each in found:
            if not self._policy.allows(each):
                raise InwardTarget(f"{host} has the address {each}")
        return [str(each) for each in found[:_MAX_ADDRESSES]]

    async def _resolved(self, name: str) -> Sequence[Address]:
        # With its final dot a name is never tried below the domains of this network.
        absolute = name if self._policy.private_networks else f"{name}."
        try:
            return await self._resolver(absolute)
        except LookupFailed as error:
            raise NoAnswer(f"{name}: {error}") from None

    async def _require_elsewhere(self, stream: httpcore.AsyncNetworkStream, address: str) -> None:
        """Refuse a public address of this very host: what listens there may serve it only.

        The kernel gives such a connection the same address at both ends.
        """
        mine = stream.get_extra_info("client_addr")
        if mine is None or ip_address(mine[0]) != ip_address(address):
            return
        if is_within(ip_address(address), self._policy.private_networks):
            return
        await stream.aclose()
        raise InwardTarget(f"{address} is an address of this host")
