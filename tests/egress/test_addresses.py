"""Addresses of this host, its network and its cloud are not public, however they are embedded."""

from ipaddress import IPv4Network, ip_address

import pytest

from app.egress.addresses import InvalidNetworks, is_public, is_within, parse_networks


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.32.0.1"),
        *("11.0.0.1", "9.255.255.255", "128.0.0.1", "126.255.255.255", "223.255.255.255"),
        *("2606:2800:21::1", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888", "3ffe::1"),
        "64:ff9b::808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"),  # noqa: S104 - to refuse
        *("100.100.100.200", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.169.254"),
        *("172.16.0.0", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.0", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:7f00:1", "::ffff:808:808", "64:ff9b::7f00:1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:2::1"),
        *("2001:db8::1", "2002:808:808::", "2002:7f00:1::", "3fff::1", "4000::1", "5f00::1"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
        *("2606::5efe:7f00:1", "2606::200:5efe:7f00:1"),
    ],
)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


def test_networks_are_separated_by_commas() -> None:
    networks = parse_networks("", " 10.2.0.0/16,192.168.5.7, fd00::/8,")

    assert IPv4Network("192.168.5.7/32") in networks
    assert is_within(ip_address("10.2.3.4"), networks)
    assert is_within(ip_address("fd12::1"), networks)
    assert not is_within(ip_address("10.3.0.1"), networks)
    assert not is_within(ip_address("::ffff:10.2.3.4"), networks)


@pytest.mark.parametrize("text", ["10.2.0.0/33", "example.com", "10.2.0.1/16", "10.2.0.0/16;::1"])
def test_anything_else_is_refused_with_the_settings_name(text: str) -> None:
    with pytest.raises(InvalidNetworks, match="CRIVO_CALLBACK_PRIVATE_NETWORKS"):
        parse_networks("CRIVO_CALLBACK_PRIVATE_NETWORKS", text)
