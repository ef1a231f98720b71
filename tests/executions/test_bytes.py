"""Executions of a version with `io` `bytes`: any bytes in, any bytes out, over HTTP."""

import base64
import hashlib
import os
from uuid import uuid4

import httpx
import pytest

from tests.support.system import System, until

ECHO = """
function process(bytes, { media_type, params, seed }) {
  console.log(media_type, bytes.length, seed);
  if (bytes[0] === 33) throw new TypeError("an exclamation mark");
  return { type: params.type || "image/png", body: bytes };
}"""
TEXT = 'const process = _ => new TextEncoder().encode("<script>alert(1)</script>")'
HTML = TEXT.replace("_ => ", '_ => ({ type: "text/html; charset=utf-8", body: ') + "})"


@pytest.fixture(scope="module")
def echo(system: System) -> str:
    return _uploaded(system, ECHO)


def _uploaded(system: System, source: str, **members: object) -> str:
    name = f"bytes-{uuid4()}"[:40]
    body = {"name": name, "source": source, "io": "bytes", **members}
    answer = system.client.post("/scripts", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["latest_version"]["io"] == body["io"]
    return name


def _run(
    system: System, script: str, data: bytes, sent: str | None = "image/x", **query: str | int
) -> httpx.Response:
    headers = {"Prefer": "wait=30"} | ({} if sent is None else {"Content-Type": sent})
    return system.client.post(
        f"/scripts/{script}/executions", content=data, headers=headers, params=query
    )


def _reference(data: bytes, media_type: str) -> dict[str, object]:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"sha256": sha256, "bytes": len(data), "media_type": media_type}


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_bytes_go_through_with_their_types(system: System, echo: str, size: int) -> None:
    data = b"\xff" + os.urandom(size) if size else b""
    answer = _run(system, echo, data, "image/x; v=2", params='{"type":"x/y; z=1"}', seed=5)
    assert answer.status_code == 200, answer.text
    execution = answer.json()
    location = answer.headers["Location"]

    # A result that is bytes is referred to, never embedded.
    assert "result" not in execution
    assert execution["receipt"]["output"] == _reference(data, "x/y; z=1")
    assert execution["receipt"]["input"] == _reference(data, "image/x; v=2")
    assert system.client.get(location).json() == execution
    lines = system.client.get(f"{location}/logs").json()["lines"]
    expected = f"image/x; v=2 {len(data)} 5"
    assert lines == [{"level": "log", "text": expected}]
    for part, media_type in (("result", "x/y; z=1"), ("input", "image/x; v=2")):
        url = f"{location}/{part}"
        got = system.client.get(url, headers={"Accept": "image/png"})
        assert (got.status_code, got.content) == (200, data)
        assert got.headers["Content-Type"] == media_type
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        assert got.headers["ETag"] == etag
        head = system.client.head(url)
        assert head.headers["Content-Type"] == media_type
        assert head.headers["Content-Length"] == str(len(data))
        assert system.client.get(url, headers={"If-None-Match": etag}).status_code == 304
        if data:
            piece = system.client.get(url, headers={"Range": "bytes=1-9"})
            assert (piece.status_code, piece.content) == (206, data[1:10])
            assert piece.headers["Content-Type"] == media_type


def test_a_stored_result_is_no_page_of_this_origin(system: System) -> None:
    """The promise of docs/SECURITY.md, for each way to read what a script has chosen."""
    script = _uploaded(system, HTML)
    location = _run(system, script, b"<script>alert(2)</script>", "text/html").headers["Location"]
    for part in ("result", "input"):
        for more in ({}, {"Range": "bytes=0-9"}):
            answer = system.client.get(f"{location}/{part}", headers=more)
            assert answer.headers["Content-Type"].startswith("text/html")
            assert b"<script>" in answer.content
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Disposition"] == "attachment"
            policy = answer.headers["Content-Security-Policy"].split("; ")
            assert policy == ["sandbox", "default-src 'none'", "frame-ancestors 'none'"]
    head = system.client.head(f"{location}/result").headers
    assert head["Content-Disposition"] == "attachment"


def test_small_executions_at_once_keep_their_types(system: System, echo: str) -> None:
    # Those that arrive together are accepted, claimed and recorded in groups.
    with httpx.Client(base_url=system.url) as client:
        answers = [
            client.post(
                f"/scripts/{echo}/executions",
                content=b"%d" % n,
                headers={"Content-Type": f"a/n{n}"},
            )
            for n in range(12)
        ]
    for n, answer in enumerate(answers):
        receipt = system.finished(answer.headers["Location"])["receipt"]
        assert receipt["input"]["media_type"] == f"a/n{n}"
        assert receipt["output"] == _reference(b"%d" % n, "image/png")


def test_a_failure_is_as_ever(system: System, echo: str) -> None:
    execution = _run(system, echo, b"!").json()
    assert (execution["error"]["kind"], execution["error"]["line"]) == ("script_error", 4)
    assert execution["receipt"]["output"] is None
    execution = _run(system, _uploaded(system, "const process = _ => 'text'"), b"").json()
    assert execution["error"]["kind"] == "invalid_result"
    assert "TextEncoder" in execution["error"]["message"]


def test_what_a_request_says_about_its_data(system: System, echo: str) -> None:
    assert _run(system, echo, b"1", None).json()["receipt"]["input"]["media_type"] == (
        "application/octet-stream"
    )
    envelope = {"script": echo, "data": {"a": 1}}
    answer = system.client.post("/executions", json=envelope, headers={"Prefer": "wait=30"})
    receipt = answer.json()["receipt"]
    assert receipt["input"] == _reference(b'{"a":1}', "application/json")
    refused = _run(system, echo, b"1", "png")
    assert refused.status_code == 415
    assert "'png' is not a media type" in refused.json()["detail"]
    assert _run(system, echo, b"1", "a/" + "b" * 254).status_code == 415


def test_a_key_belongs_to_bytes_of_one_type(system: System, echo: str) -> None:
    url = f"/scripts/{echo}/executions"
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "a/b"}
    first = system.client.post(url, content=b"1", headers=headers)
    again = system.client.post(url, content=b"1", headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    other = system.client.post(url, content=b"1", headers={**headers, "Content-Type": "a/c"})
    assert other.status_code == 422


def test_a_replay_has_the_same_bytes_and_type(system: System, echo: str) -> None:
    location = _run(system, echo, b"\0\1", "a/b").headers["Location"]
    answer = system.client.post(f"{location}/replay", json={}, headers={"Prefer": "wait=30"})
    replay = answer.json()
    assert replay["replay"]["identical"] is True
    assert replay["receipt"]["input"] == _reference(b"\0\1", "a/b")

    # And so have many, whose results a download of the batch refers to.
    filtered = {"filter": {"script": f"{echo}@1", "status": "succeeded"}}
    batch = system.client.post("/replays", json=filtered)
    assert batch.status_code == 202, batch.text
    url = batch.json()["url"]
    for _ in until("the replays have finished"):
        if system.client.get(url).json()["finished_at"] is not None:
            break
    lines = [line for line in system.client.get(f"{url}/results").text.splitlines() if line]
    output = '"output":{"sha256":"%s","bytes":2,"media_type":"image/png"}}'
    assert sum(output % hashlib.sha256(b"\0\1").hexdigest() in line for line in lines) >= 1
    assert not any('"result":' in line for line in lines)


def test_a_version_of_another_io_is_another_version(system: System) -> None:
    name = _uploaded(system, TEXT, io="json")
    url = f"/scripts/{name}/versions"
    same = {"source": TEXT}
    assert system.client.post(url, json=same).json()["version"] == 1
    added = system.client.post(url, json={**same, "io": "bytes"})
    assert (added.status_code, added.json()["version"], added.json()["io"]) == (201, 2, "bytes")
    versions = system.client.get(url).json()["items"]
    assert [each["io"] for each in versions] == ["bytes", "json"]
    form = {"io": (None, "bytes"), "file": ("a.js", TEXT)}
    assert system.client.post(url, files=form).json()["version"] == 2
    refused = system.client.post(url, json={**same, "io": "text"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/io"


def test_an_input_of_json_can_be_replayed_as_bytes(system: System) -> None:
    name = _uploaded(system, "const process = data => data", io="json")
    location = system.submit(name, b'{"a": 1}')
    system.finished(location)
    added = system.client.post(f"/scripts/{name}/versions", json={"source": ECHO, "io": "bytes"})
    assert added.status_code == 201
    answer = system.client.post(
        f"{location}/replay", json={"script": f"{name}@2"}, headers={"Prefer": "wait=30"}
    )
    receipt = answer.json()["receipt"]
    assert receipt["input"] == _reference(b'{"a": 1}', "application/json")
    assert receipt["output"] == _reference(b'{"a": 1}', "image/png")


def test_a_batch_takes_no_bytes(system: System, echo: str) -> None:
    answer = system.client.post(
        "/batches", params={"script": echo}, content=b"1\n2\n",
        headers={"Content-Type": "application/x-ndjson"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:crivo:problem:batch-of-bytes"
    assert answer.json()["detail"].startswith("/script: ")


def test_versions_over_bytes_are_compared(system: System) -> None:
    name = _uploaded(system, ECHO)
    sources = [
        ECHO,
        ECHO.replace("image/png", "image/gif"),
        ECHO.replace("body: bytes", "body: bytes.subarray(1)"),
    ]
    for data in (b"one", b"two"):
        system.finished(_run(system, name, data).headers["Location"])
    # The same bytes; the same of another type; other bytes.
    for source, outcome in zip(
        (ECHO + "\n", *sources[1:]), ("same", "differing", "differing"), strict=True
    ):
        added = system.client.post(
            f"/scripts/{name}/versions", json={"source": source, "io": "bytes"}
        )
        number = added.json()["version"]
        body = {"from": 1, "to": number}
        answer = system.client.post(f"/scripts/{name}/comparisons", json=body)
        assert answer.status_code == 202, answer.text
        url = answer.headers["Location"]
        comparison = system.client.get(f"{url}?wait=60").json()
        assert comparison[outcome] == 2, comparison
        assert all("changes" not in each for each in comparison["differences"])


def test_a_sample_is_base64(system: System) -> None:
    def check(sample: object) -> httpx.Response:
        body = {"source": ECHO, "io": "bytes", "sample": sample}
        return system.client.post("/scripts/check", json=body)

    sample = check(base64.b64encode(b"\xff\0").decode()).json()["sample"]
    assert (sample["status"], sample["result"]) == ("succeeded", "/wA=")
    assert sample["receipt"]["output"] == _reference(b"\xff\0", "image/png")
    assert sample["receipt"]["input"] == _reference(b"\xff\0", "application/octet-stream")
    for wrong in ({"a": 1}, "not base64"):
        refused = check(wrong)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/sample"


def test_a_version_over_json_is_as_ever(system: System) -> None:
    name = _uploaded(system, "const process = data => data", io="json")
    execution = _run(system, name, b'[1, "a"]', "text/plain").json()
    assert execution["result"] == [1, "a"]
    assert "media_type" not in execution["receipt"]["input"]
    url = f"/executions/{execution['id']}"
    assert system.client.get(f"{url}/input").headers["Content-Type"] == "application/octet-stream"
    answer = system.client.get(f"{url}/result")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Content-Disposition" not in answer.headers
