"""Loopback addresses are recognised, and no others."""

import pytest

from app.auth.open_mode import is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound to it
        ("192.168.0.1", False),
        ("localhost.", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is loopback
