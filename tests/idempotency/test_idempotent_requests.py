"""A request repeated with its Idempotency-Key creates nothing."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.system import ROOT, System, until
from tests.support.system_with_keys import SystemWithKeys

SOURCE = "function process(data) { return data }"
REPLAYED = "Idempotency-Replayed"


def _key() -> str:
    return str(uuid4())


@pytest.fixture(scope="module")
def script(system: System) -> str:
    name = f"once-{uuid4()}"[:40]
    system.upload(name, SOURCE)
    return name


def _submit(system: System, script: str, key: str, data: bytes = b"[1]", **more: Any) -> Any:  # noqa: ANN401 - httpx's
    headers = {"Idempotency-Key": key, **more.pop("headers", {})}
    return system.client.post(
        f"/scripts/{script}/executions", content=data, headers=headers, **more
    )


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def _executions_of(system: System, script: str) -> list[Any]:
    page = system.client.get("/executions", params={"script": script, "limit": 100}).json()
    return list(page["items"])


def test_every_route_that_creates_takes_a_key() -> None:
    paths = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())["paths"]
    creating = {
        each["post"]["operationId"]: each["post"]
        for each in paths.values()
        if "post" in each and {"201", "202"} & each["post"]["responses"].keys()
    }
    # Tokens are computed, and nothing is stored; a callback that is sent again exists; an upload
    # is committed once.
    for name in [
        each
        for each in creating
        if each.startswith(("resend", "commitUpload")) or "EventsToken" in each
    ]:
        del creating[name]

    for name, operation in creating.items():
        headers = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        assert "Idempotency-Key" in headers, name
        assert operation["responses"].keys() >= {"409", "422"}, name
    assert len(creating) >= 10


def test_a_repeated_submission_returns_the_first_execution(system: System, script: str) -> None:
    key = _key()
    before = len(_executions_of(system, script))

    first = _submit(system, script, key)
    system.finished(first.headers["Location"])
    again = _submit(system, script, key)

    assert first.status_code == 202
    assert REPLAYED not in first.headers
    assert again.status_code == 200
    assert again.headers[REPLAYED] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json()["result"] == [1]
    assert len(_executions_of(system, script)) == before + 1


def test_a_repeated_envelope_waits_for_the_first_execution(system: System) -> None:
    name = f"busy-{uuid4()}"[:40]
    system.upload(
        name,
        "function process(ms) { const end = Date.now(); let n = 0; "
        "for (let i = 0; i < ms; i++) n += i; return n }",
    )
    envelope = {"script": name, "data": 200_000_000, "labels": {"a": "1", "b": "2"}}
    headers = {"Idempotency-Key": _key()}

    first = system.client.post("/executions", json=envelope, headers=headers)
    envelope["labels"] = {"b": "2", "a": "1"}
    headers["Prefer"] = "wait=60"
    again = system.client.post("/executions", json=envelope, headers=headers)

    assert first.status_code == 202
    assert again.status_code == 200, again.text
    assert again.headers["Preference-Applied"] == "wait=60"
    assert again.headers[REPLAYED] == "true"
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"data": b"[2]"},
        {"params": {"seed": 1}},
        {"params": {"label": "a:b"}},
        {"params": {"priority": 1}},
        {"params": {"params": "1"}},
    ],
)
def test_a_key_with_another_request_is_422(
    system: System, script: str, change: dict[str, Any]
) -> None:
    key = _key()
    _submit(system, script, key)

    assert _code(_submit(system, script, key, **change)) == (422, "idempotency-key-reused")


def test_a_key_with_another_route_is_422(system: System, script: str) -> None:
    key = _key()
    _submit(system, script, key, b"1")

    envelope = {"script": script, "data": 1}
    other = system.client.post("/executions", json=envelope, headers={"Idempotency-Key": key})

    assert _code(other) == (422, "idempotency-key-reused")


def test_a_compressed_repetition_is_the_same_request(system: System, script: str) -> None:
    key, data = _key(), b'[1, "\xc3\xbc"]'

    first = _submit(system, script, key, data)
    again = _submit(system, script, key, gzip.compress(data), headers={"Content-Encoding": "gzip"})

    assert again.headers[REPLAYED] == "true"
    assert again.json()["id"] == first.json()["id"]


def test_a_refused_request_leaves_its_key_free(system: System, script: str) -> None:
    key = _key()
    url = "/scripts/nothing-here-yet/executions"
    refused = system.client.post(url, content=b"1", headers={"Idempotency-Key": key})

    accepted = _submit(system, script, key)

    assert refused.status_code == 404
    assert accepted.status_code == 202
    assert REPLAYED not in accepted.headers


def test_concurrent_requests_with_a_key_create_one_execution(system: System, script: str) -> None:
    key = _key()
    before = len(_executions_of(system, script))

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: _submit(system, script, key), range(32)))

    done = [each for each in answers if each.status_code in (200, 202)]
    busy = [each for each in answers if each not in done]
    assert len({each.json()["id"] for each in done}) == 1
    assert sum(REPLAYED not in each.headers for each in done) == 1
    assert all(_code(each) == (409, "request-in-progress") for each in busy)
    assert all(each.headers["Retry-After"] == "1" for each in busy)
    assert len(_executions_of(system, script)) == before + 1


@pytest.mark.parametrize("creates", ["script", "version", "tenant", "key", "replay", "upload"])
def test_concurrent_requests_with_a_key_create_one_resource(system: System, creates: str) -> None:
    name = f"c{uuid4().hex}"[:30]
    system.upload(name, SOURCE)
    location = system.submit(name, b"1")
    system.finished(location)
    system.client.put(f"/datasets/{name}", json={})
    path, body = {
        "script": ("/scripts", {"name": f"{name}-too", "source": SOURCE}),
        "version": (f"/scripts/{name}/versions", {"source": f"{SOURCE} // more"}),
        "tenant": ("/tenants", {"name": name}),
        "key": ("/keys", {"scopes": ["read"]}),
        "replay": (f"{location}/replay", {}),
        "upload": (f"/datasets/{name}/uploads", {}),
    }[creates]
    headers = {"Idempotency-Key": _key()}

    def create(_: int) -> httpx.Response:
        while True:
            answer = system.client.post(path, json=body, headers=headers)
            if answer.status_code != 409:
                return answer
            assert _code(answer) == (409, "request-in-progress")
            assert answer.headers["Retry-After"] == "1"

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(create, range(16)))

    assert {each.status_code for each in answers} <= {200, 201, 202}
    assert len({each.headers["Location"] for each in answers}) == 1
    assert sum(REPLAYED not in each.headers for each in answers) == 1


@pytest.mark.parametrize(
    ("sent", "same"),
    [('"a b"', "a b"), (r'"say \"hi\""', 'say "hi"'), ("x" * 255, None)],
)
def test_a_key_is_a_quoted_or_a_bare_string(system: System, sent: str, same: str | None) -> None:
    name = f"quoted-{uuid4()}"[:40]
    system.upload(name, SOURCE)

    first = _submit(system, name, sent)
    again = _submit(system, name, same or sent)

    assert first.status_code == 202
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize("sent", ["", '""', "x" * 256, "\u00e9".encode(), "a\tb"])
def test_another_header_is_400(system: System, script: str, sent: Any) -> None:  # noqa: ANN401
    answer = _submit(system, script, sent)

    assert _code(answer) == (400, "invalid-idempotency-key")


def test_two_keys_are_400(system: System, script: str) -> None:
    answer = system.client.post(
        f"/scripts/{script}/executions",
        content=b"1",
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")],
    )

    assert _code(answer) == (400, "invalid-idempotency-key")


def test_a_repeated_upload_returns_the_first_script(system: System) -> None:
    upload = {"name": f"created-{uuid4()}"[:40], "source": SOURCE}
    headers = {"Idempotency-Key": _key()}

    first = system.client.post("/scripts", json=upload, headers=headers)
    again = system.client.post("/scripts", json=upload, headers=headers)
    other = system.client.post("/scripts", json={**upload, "note": "x"}, headers=headers)

    assert first.status_code == again.status_code == 201
    assert again.headers[REPLAYED] == "true"
    assert again.json() == first.json()
    assert _code(other) == (422, "idempotency-key-reused")


def test_a_repeated_version_is_returned_though_its_script_changed(system: System) -> None:
    name = f"versions-{uuid4()}"[:40]
    system.upload(name, SOURCE)
    url, headers = f"/scripts/{name}/versions", {"Idempotency-Key": _key()}
    second, third = ({"source": f"{SOURCE} // {each}"} for each in (2, 3))

    first = system.client.post(url, json=second, headers=headers)
    system.client.post(url, json=third)
    system.client.delete(f"/scripts/{name}")
    again = system.client.post(url, json=second, headers=headers)

    assert (first.status_code, first.json()["version"]) == (201, 2)
    assert again.headers[REPLAYED] == "true"
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert system.client.get(url).json()["items"][0]["version"] == 3


def test_a_repeated_upload_of_the_same_source_is_200_again(system: System) -> None:
    name, headers = f"same-{uuid4()}"[:40], {"Idempotency-Key": _key()}
    system.upload(name, SOURCE)
    url, upload = f"/scripts/{name}/versions", {"source": SOURCE}

    first, again = (system.client.post(url, json=upload, headers=headers) for _ in range(2))

    assert (first.status_code, first.json()["version"]) == (200, 1)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers[REPLAYED] == "true"


def test_a_repeated_tenant_is_the_first(system: System) -> None:
    body, headers = {"name": f"t-{uuid4()}"[:30]}, {"Idempotency-Key": _key()}

    first = system.client.post("/tenants", json=body, headers=headers)
    again = system.client.post("/tenants", json=body, headers=headers)

    assert first.status_code == again.status_code == 201
    assert again.headers[REPLAYED] == "true"
    assert again.json() == first.json()


def test_a_repeated_key_is_returned_without_its_secret(keyed: SystemWithKeys) -> None:
    body, headers = {"scopes": ["read"]}, {"Idempotency-Key": _key()}

    first = keyed.post("/keys", json=body, headers=headers)
    again = keyed.post("/keys", json=body, headers=headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers[REPLAYED] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert "key" in first.json()
    assert "key" not in again.json()


def test_a_repeated_large_input_needs_no_quota_of_its_own(keyed: SystemWithKeys) -> None:
    tenant = keyed.tenant(f"t-{uuid4()}"[:30])
    secret = keyed.key(tenant).key
    keyed.post("/scripts", secret, json={"name": "large", "source": SOURCE})
    caps = {"caps": {"max_bytes_per_day": 3_000_000}}
    data, headers = b'"%b"' % (b"x" * 2_000_000), {"Idempotency-Key": _key()}

    def submit(headers: dict[str, str]) -> httpx.Response:
        return keyed.post("/scripts/large/executions", secret, content=data, headers=headers)

    first = submit(headers)
    keyed.request("PATCH", f"/tenants/{tenant}", json=caps)
    # The caps of a key are known for a second.
    for _ in until("the quota is in force"):
        if submit({"Idempotency-Key": _key()}).status_code == 429:
            break
    again = submit(headers)

    assert first.status_code == 202
    assert again.status_code in (200, 202)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["Location"] == first.headers["Location"]
