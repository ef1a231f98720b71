"""A URL is accepted in one spelling only, and an inward one is refused as it is submitted."""

import pytest

from app.egress.addresses import parse_networks
from app.egress.targets import Policy, UnusableTarget, parse_target

PUBLIC = Policy()
LOCAL = Policy(http=True, private_networks=parse_networks("", "127.0.0.0/8, ::1"))


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("https://example.com", "https://example.com/"),
        ("https://example.com/", "https://example.com/"),
        ("HTTPS://Example.COM/A?b=C%20d&e[]=1", "https://example.com/A?b=C%20d&e[]=1"),
        ("https://example.com?a=b@c:d", "https://example.com/?a=b@c:d"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("https://example.com:80/a", "https://example.com:80/a"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://93.184.215.14/", "https://93.184.215.14/"),
        ("https://[2606:2800:0021::1]:8443/", "https://[2606:2800:21::1]:8443/"),
    ],
)
def test_a_public_url_has_one_spelling(url: str, spelled: str) -> None:
    assert parse_target(url, PUBLIC).url == spelled


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com/",
        "https:example.com",
        "https:///hook",
        "https://",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://example.com/",
        "https://example.com/#fragment",
        "https://example.com#fragment",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1#@example.com/",
        "https://127.0.0.1\\@example.com/",
        "https://example.com\\.evil.example/",
        "https://example.com/a b",
        "https://example.com/a\r\nX-Injected: 1",
        "https://example.com/\t",
        "https://example.com/\x00",
        " https://example.com/",
        "https://example.com /",
        "https://example.com/ü",
        "https://bücher.example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://\u24dbocalhost/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:/",
        "https://example.com:443:443/",
        "https://example.com:+443/",
        "https://example..com/",
        "https://.example.com/",
        "https://example.com./",
        "https://-a.example/",
        f"https://{'a' * 64}.example/",
        f"https://{'a.' * 127}example/",
        f"https://example.com/{'a' * 2048}",
        # As it is spelled, a character longer.
        f"https://example.com?{'a' * (2048 - 20)}",
        "https://exa%6dple.com/",
        "https://*.example.com/",
        "https://under_score.example/",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(UnusableTarget):
        parse_target(url, PUBLIC)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001"),
        *("0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.0x1", "0", "0.0.0.0", "1.2.3.4.5"),  # noqa: S104 - to refuse
        *("256.1.1.1", "1.0x", "10.0.0.7", "169.254.169.254", "100.64.0.1", "192.168.1.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "[::127.0.0.1]"),
        *("[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fd00:ec2::254]", "[ff02::1]"),
        *("[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::8.8.8.8]"),
        *("[2002:7f00:1::]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[2606::5efe:7f00:1]"),
        *("localhost", "LOCALHOST", "a.localhost", "postgres", "db.internal", "printer.local"),
        *("localhost.localdomain", "router.home.arpa", "metadata.google.internal"),
        *("[]", "[example.com]", "[::1", "::1", "[v1.a]", "[127.0.0.1]", "[1::1::1]"),
    ],
)
def test_an_inward_host_is_refused_in_every_notation(host: str) -> None:
    with pytest.raises(UnusableTarget):
        parse_target(f"https://{host}/", PUBLIC)


def test_networks_of_a_setting_are_reachable_and_no_others() -> None:
    assert parse_target("http://127.0.0.1:8080/a", LOCAL).url == "http://127.0.0.1:8080/a"
    assert parse_target("http://[::1]:8080/a", LOCAL).authority == "[::1]:8080"
    assert parse_target("https://receiver:8080/", LOCAL).host == "receiver"
    for host in ("10.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "169.254.169.254"):
        with pytest.raises(UnusableTarget):
            parse_target(f"http://{host}/", LOCAL)


def test_denied_networks_are_not_reachable_though_public_or_exempt() -> None:
    policy = Policy(
        private_networks=parse_networks("", "10.0.0.0/8"),
        denied_networks=parse_networks("", "10.1.0.0/16, 8.8.8.0/24, 2606:2800::/32"),
    )

    assert parse_target("https://10.2.0.1/", policy).host == "10.2.0.1"
    for host in ("10.1.0.1", "8.8.8.8", "[2606:2800:21::1]", "[64:ff9b::8.8.8.8]"):
        with pytest.raises(UnusableTarget):
            parse_target(f"https://{host}/", policy)


def test_a_refusal_of_an_address_does_not_say_what_is_there() -> None:
    said = set()
    for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "0.0.0.0"):  # noqa: S104 - to refuse
        with pytest.raises(UnusableTarget) as refused:
            parse_target(f"https://{host}/", PUBLIC)
        said.add(str(refused.value))

    assert said == {"has an address that is not public"}
