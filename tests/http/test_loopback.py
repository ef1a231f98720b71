"""An open API serves its own machine only."""

import pytest

from tests.support.system import System


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "["])
def test_a_foreign_host_is_refused(system: System, host: str) -> None:
    answer = system.client.get("/scripts", headers={"Host": host})

    assert answer.status_code in (400, 421)
    assert "items" not in answer.text


@pytest.mark.parametrize(
    ("host", "port"), [("evil.example", None), ("evil.example:9000", 9000), ("evil:99999", None)]
)
def test_the_refusal_of_a_foreign_host_names_the_address_that_works(
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
