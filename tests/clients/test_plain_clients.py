"""Plain clients run the whole use case with their default headers."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
import requests
from msgspec import Struct

from tests.support.system import CARDS
from tests.support.system_with_keys import SystemWithKeys

THROWING: Final = "function process(data) { if (!data) throw Error('no'); return data }"


class Answered(Struct, frozen=True):
    """A response as all three clients report it, with header names in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.content)


# How a client sends a body, bytes or a form, with headers chosen by the user.
Ask = Callable[..., Answered]


def _by_requests(keyed: SystemWithKeys) -> Iterator[Ask]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(keyed.authorized())

        def ask(method: str, address: str, **what: Any) -> Answered:  # noqa: ANN401 - requests'
            url = f"{keyed.system.url}{address}"
            answer = session.request(method, url, timeout=60, allow_redirects=False, **what)
            return _answered(answer.status_code, answer.headers, answer.content)

        yield ask


def _by_httpx(keyed: SystemWithKeys) -> Iterator[Ask]:
    with httpx.Client(
        base_url=keyed.system.url, headers=keyed.authorized(), timeout=60, trust_env=False
    ) as client:

        def ask(method: str, address: str, **what: Any) -> Answered:  # noqa: ANN401 - httpx's
            body = {"content": what.pop("data")} if "data" in what else {}
            answer = client.request(method, address, **what, **body)
            return _answered(answer.status_code, answer.headers, answer.content)

        yield ask


def _by_urllib(keyed: SystemWithKeys) -> Iterator[Ask]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(method: str, address: str, **what: Any) -> Answered:  # noqa: ANN401 - as the others
        headers = {**keyed.authorized(), **what.pop("headers", {})}
        data = what.pop("data", None)
        if "json" in what:
            data = json.dumps(what.pop("json")).encode()
            headers["Content-Type"] = "application/json"
        url = f"{keyed.system.url}{address}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http
        assert what == {}
        try:
            with opener.open(request, timeout=60) as answer:
                return _answered(answer.status, dict(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answered(error.code, dict(error.headers.items()), error.read())

    yield ask


def _answered(status: int, headers: Mapping[str, str], content: bytes) -> Answered:
    return Answered(status, {name.lower(): value for name, value in headers.items()}, content)


@pytest.fixture(params=[_by_requests, _by_httpx, _by_urllib])
def ask(keyed: SystemWithKeys, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """A client that a user would try the API with."""
    yield from request.param(keyed)


def test_a_plain_client_runs_the_whole_use_case(ask: Ask) -> None:
    name = f"plain-{uuid4().hex[:8]}"
    source = (CARDS / "script.js").read_bytes()
    payload = (CARDS / "payload.json").read_bytes()
    expected = json.loads((CARDS / "expected.json").read_bytes())
    script = {"Content-Type": "text/javascript"}

    checked = ask("POST", "/scripts/check", json={"source": source.decode()})
    assert checked.status == 200, checked.content
    created = ask("POST", f"/scripts?name={name}", data=source, headers=script)
    assert (created.status, created.json["name"]) == (201, name)
    assert ask("GET", created.headers["location"]).json["id"] == created.json["id"]

    envelope = {"script": name, "data": json.loads(payload)}
    submitted = ask("POST", "/executions", json=envelope)
    assert submitted.status == 202
    ended = ask("GET", submitted.headers["location"] + "?wait=30").json
    assert (ended["status"], ended["result"]) == ("succeeded", expected)

    raw = ask(
        "POST",
        f"/scripts/{name}@1/executions",
        data=payload,
        headers={"Content-Type": "application/json", "Prefer": "wait=30"},
    )
    assert (raw.status, raw.json["status"]) == (200, "succeeded")
    result = ask("GET", raw.json["result_url"])
    assert (result.json, result.headers["content-type"]) == (expected, "application/json")
    assert ask("GET", f"/scripts/{name}/versions/1/source").content == source
    head = ask("HEAD", raw.json["result_url"])
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(result.content))
    assert ask("GET", "/").json["scripts"] == "/scripts"


def test_a_plain_client_gets_clear_errors(ask: Ask) -> None:
    name = f"wrong-{uuid4().hex[:8]}"

    broken = ask("POST", "/scripts", json={"name": name, "source": "function process( {"})
    missing = ask("GET", "/executions/01900000-0000-7000-8000-000000000000")
    created = ask("POST", "/scripts", json={"name": name, "source": THROWING})
    taken = ask("POST", "/scripts", json={"name": name, "source": THROWING})
    threw = ask(
        "POST",
        "/executions",
        json={"script": name, "data": None},
        headers={"Prefer": "wait=30"},
    )

    assert [each.status for each in (broken, missing, created, taken)] == [422, 404, 201, 409]
    for each in (broken, missing, taken):
        assert each.headers["content-type"] == "application/problem+json"
        assert each.json["status"] == each.status
    assert broken.json["errors"][0]["line"] == 1
    assert (threw.json["status"], threw.json["error"]["kind"]) == ("failed", "script_error")
    assert ask("GET", f"/executions/{threw.json['id']}/result").status == 404
