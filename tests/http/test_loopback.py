"""The open API answers its own machine only."""

import pytest

from app.http.loopback import is_loopback
from tests.acceptance.system import System


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "["])
def test_a_foreign_host_is_refused(system: System, host: str) -> None:
    answer = system.client.get("/scripts", headers={"Host": host})

    assert answer.status_code in (400, 421)
    assert "items" not in answer.text


@pytest.mark.parametrize(
    ("host", "port"), [("evil.example", None), ("evil.example:9000", 9000), ("evil:99999", None)]
)
def test_a_foreign_host_is_told_the_address_that_works(
    system: System, host: str, port: int | None
) -> None:
    answer = system.client.get("/scripts", headers={"Host": host})

    assert answer.status_code == 421
    assert answer.json()["detail"].endswith(f"use http://127.0.0.1:{port or system.port}")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://", "http://["]
)
def test_a_page_of_another_site_is_refused(system: System, origin: str) -> None:
    answer = system.client.get("/scripts", headers={"Origin": origin})

    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:crivo:problem:cross-site-origin"
    assert "CRIVO_CORS_ORIGINS" in answer.json()["detail"]


def test_our_own_pages_are_served(system: System) -> None:
    answer = system.client.get("/scripts", headers={"Origin": system.url})

    assert answer.status_code == 200


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
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is loopback
