"""A replay repeats an execution, and says whether its outcome is identical."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.support.system import System

# Every source of values that a replay must repeat.
SOURCE = """
function process(data, context) {
  const random = Math.random();
  return {data, params: context.params, now: Date.now(), random, id: crypto.randomUUID()};
}
"""


@pytest.fixture(scope="module")
def script(system: System) -> str:
    name = f"replayed-{uuid4()}"[:40]
    system.upload(name, SOURCE)
    return name


def _replay(system: System, location: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
    headers = {"Prefer": "wait=60", **request.pop("headers", {})}
    return system.client.post(f"{location}/replay", headers=headers, **request)


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:crivo:problem:")


def test_a_replay_is_identical(system: System, script: str) -> None:
    location = system.submit(
        script, b'[1, "\\ud800"]', params='{"a": 1}', label="k:v", priority=3, wall_ms=900
    )
    original = system.finished(location)

    replay = _replay(system, location).json()

    assert replay["id"] != original["id"]
    assert replay["replay_of"] == original["id"]
    assert replay["result"] == original["result"]
    output = original["receipt"]["output"]["sha256"]
    assert replay["replay"] == {"identical": True, "output_sha256": [output, output]}
    assert replay["result"] == original["result"]
    for same in ("labels", "priority", "params"):
        assert replay[same] == original[same]
    for same in ("script", "input", "seed", "clock_ms", "limits"):
        assert replay["receipt"][same] == original["receipt"][same]
    assert "replay_of" not in original


def test_a_large_input_is_replayed(system: System, script: str) -> None:
    location = system.submit(script, b'"%b"' % (b"x" * 3_000_000))
    system.finished(location)

    replay = _replay(system, location).json()

    assert replay["replay"]["identical"] is True
    system.client.delete(f"{location}/data")
    assert system.client.get(f"/executions/{replay['id']}/input").content[:2] == b'"x'
    again = _replay(system, f"/executions/{replay['id']}").json()
    assert again["replay"]["identical"] is True


def test_a_failure_is_replayed(system: System) -> None:
    name = f"failing-{uuid4()}"[:40]
    system.upload(name, "function process(data) { throw new RangeError('no ' + Math.random()) }")
    location = system.submit(name, b"1")
    system.finished(location)

    replay = _replay(system, location).json()

    assert replay["status"] == "failed"
    assert replay["replay"] == {"identical": True, "output_sha256": [None, None]}


def test_another_version_that_differs_is_not_identical(system: System, script: str) -> None:
    location = system.submit(script, b"1")
    system.finished(location)
    changed = SOURCE.replace("now:", "then:")
    version = system.client.post(f"/scripts/{script}/versions", json={"source": changed}).json()

    same = _replay(system, location).json()
    other = _replay(system, location, json={"script": f"{script}@{version['version']}"}).json()

    assert same["replay"]["identical"] is True
    assert other["replay"]["identical"] is False
    assert len(set(other["replay"]["output_sha256"])) == 2
    assert other["receipt"]["script"]["version"] == version["version"]


def test_a_replay_with_a_key_happens_once(system: System, script: str) -> None:
    location = system.submit(script, b"1")
    system.finished(location)
    headers = {"Idempotency-Key": str(uuid4())}

    first, again = (_replay(system, location, headers=headers) for _ in range(2))

    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["replay"] == first.json()["replay"]


def test_an_unfinished_execution_has_no_replay(system: System) -> None:
    name = f"endless-{uuid4()}"[:40]
    system.upload(name, "function process(data) { for (;;); }")
    location = system.submit(name, b"1", wall_ms=60_000)

    answer = _replay(system, location)
    system.client.post(f"{location}/cancel")

    assert _code(answer) == (409, "not-finished")


def test_erased_data_cannot_be_replayed(system: System, script: str) -> None:
    location = system.submit(script, b"1")
    system.finished(location)
    system.client.delete(f"{location}/data")

    assert _code(_replay(system, location)) == (410, "payload-gone")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/executions/01900000-0000-7000-8000-000000000000", None, (404, "execution-not-found")),
        (None, {"script": "nothing-of-this-name"}, (404, "script-not-found")),
        (None, {"script": "Not A Name"}, (404, "script-not-found")),
        (None, {"scirpt": "cards"}, (422, "invalid-request")),
        (None, [], (422, "invalid-request")),
    ],
)
def test_a_bad_request_names_its_fault(
    system: System,
    script: str,
    path: str | None,
    body: object,
    expected: tuple[int, str],
) -> None:
    location = system.submit(script, b"1")
    system.finished(location)
    request = {} if body is None else {"json": body}

    assert _code(_replay(system, path or location, **request)) == expected


def test_a_deleted_original_leaves_its_outcome(system: System, script: str) -> None:
    location = system.submit(script, b"1")
    original = system.finished(location)
    replay = _replay(system, location).json()

    async def delete() -> None:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            await conn.execute("DELETE FROM payloads WHERE execution_id = $1", original["id"])
            await conn.execute("DELETE FROM executions WHERE id = $1", original["id"])
        finally:
            await conn.close()

    asyncio.run(delete())

    shown = system.client.get(f"/executions/{replay['id']}").json()
    assert shown["replay"] == replay["replay"]
