"""The client's address comes from X-Forwarded-For of trusted proxies only."""

import pytest

from app.http.proxies import InvalidProxies, client_address, trusted_networks

TRUSTED = trusted_networks("127.0.0.1, 10.0.0.0/8,fd00::/8,")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # No trusted proxy has added an address.
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        # The rightmost untrusted address, whatever precedes it.
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        # All are trusted: the first.
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Ports, brackets, zones, IPv4 addresses mapped to IPv6.
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        # An unreadable hop ends the search at the proxy that reported it.
        ("10.0.0.1", ["'; --"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["x" * 30_000], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("nowhere", ["203.0.113.9"], None),
    ],
)
def test_the_client_is_the_nearest_untrusted_address(
    peer: str, forwarded: list[str], client: str | None
) -> None:
    assert client_address(peer, [each.encode() for each in forwarded], TRUSTED) == client


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", "10.0.0.1 10.0.0.2", "*"])
def test_an_invalid_network_is_a_clear_error(text: str) -> None:
    with pytest.raises(InvalidProxies, match="CRIVO_TRUSTED_PROXIES"):
        trusted_networks(text)
