"""The index at / returns JSON to programs and redirects browsers to the reference."""

import pytest

from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys

CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/html;q=0.5, */*"])
def test_a_program_gets_an_index_of_existing_urls(keyed: SystemWithKeys, accept: str) -> None:
    answer = keyed.get("/", "", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Vary"] == "Accept"
    index = answer.json()
    assert (index.pop("name"), index.pop("version")) == ("Crivo", "0.1.0")
    assert set(index) == {
        "docs",
        "openapi",
        "scripts",
        "schemas",
        "executions",
        "batches",
        "datasets",
        "runs",
        "exports",
        "pipes",
        "dead_letters",
        "redrives",
        "health",
    }
    assert {address: keyed.get(address).status_code for address in index.values()} == (
        dict.fromkeys(index.values(), 200)
    )
    assert keyed.get(index["openapi"]).json()["info"]["version"] == answer.json()["version"]


@pytest.mark.parametrize("accept", [CHROMIUM, FIREFOX, "text/html", "text/*, */*;q=0.1"])
def test_a_browser_is_redirected_to_the_reference(keyed: SystemWithKeys, accept: str) -> None:
    answer = keyed.get("/", "", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
    assert answer.headers["Vary"] == "Accept"
    followed = keyed.get("/", "", headers={"Accept": accept}, follow_redirects=True)
    assert followed.headers["Content-Type"] == "text/html; charset=utf-8"


def test_another_media_type_is_not_acceptable(system: System) -> None:
    answer = system.client.get("/", headers={"Accept": "image/png"})

    assert answer.status_code == 406
    assert "text/html" in answer.json()["detail"]
