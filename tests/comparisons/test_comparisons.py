"""A comparison runs two versions over recorded inputs, and finds where they differ."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import asyncpg

from tests.comparisons.conftest import Recorded
from tests.support.system import System

Record = Callable[[str], Recorded]

# Every source of values that a replay must repeat.
SOURCE = """
function process(data, context) {
  if (data.fails) throw new RangeError('no ' + data.fails);
  return {total: data.n * 2, tags: [data.n, Math.random()], now: Date.now(),
          id: crypto.randomUUID(), params: context.params};
}
"""


def _query(system: System, statement: str, *values: object) -> Any:  # noqa: ANN401 - any column
    async def run() -> Any:  # noqa: ANN401 - any column
        connection = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_200_recorded_executions_are_identical_and_one_changed_field_is_found(
    system: System, record: Record
) -> None:
    script = record(SOURCE)
    script.run([b'{"n":%d}' % n for n in range(200)])
    script.promote(1)
    # One field, for one input in fifty; members in another order are no difference.
    changed = SOURCE.replace("data.n * 2, tags:", "data.n * 2 + !(data.n % 50), tags:")
    reordered = changed.replace("now: Date.now(),", "").replace("{total", "{now: Date.now(), total")
    other = script.version(reordered)

    same = script.compare("prod", 1, sample={"last": 200})
    replays = [
        each
        for page in _pages(system, f"/executions?script={script.name}&limit=100")
        for each in page
        if "replay_of" in each
    ]
    found = script.compare("prod", "latest")

    assert (same["clean"], same["same"], same["inputs"], same["erased"]) == (True, 200, 200, 0)
    assert len(replays) == 400
    assert {each["replay"]["identical"] for each in replays} == {True}
    # The replays of the first comparison are no inputs of the second.
    assert (found["inputs"], found["same"], found["differing"]) == (200, 196, 4)
    assert (found["from"], found["to"], found["clean"]) == (1, other, False)
    assert found["progress"] == {"ended": 400, "executions": 400}
    assert [each["changes"] for each in found["differences"]] == [
        [{"pointer": "/total", "before": 2 * n, "after": 2 * n + 1}] for n in (150, 100, 50, 0)
    ]
    first = found["differences"][0]
    assert json.loads(system.client.get(f"/executions/{first['execution']}/input").content) == {
        "n": 150
    }
    assert [first["from"]["status"], first["to"]["status"]] == ["succeeded", "succeeded"]
    assert found["cpu_ratio"] > 0
    refused = script.promote(other, comparison=found["id"])
    assert (refused.status_code, refused.json()["type"]) == (
        409, "urn:crivo:problem:promotion-refused",
    )  # fmt: skip
    prod = system.client.get(f"/scripts/{script.name}/aliases/prod").json()
    assert prod["version"] == 1


def test_failures_fixes_and_cancellations_are_counted(system: System, record: Record) -> None:
    script = record(SOURCE)
    inputs = [b'{"fails":"a"}', b'{"fails":"b"}', b'{"fails":"c"}', b'{"n":1}', b"nothing"]
    script.run(inputs)
    other = script.version(
        "\n\nfunction process(data) {\n"
        "  if (data.n) throw new Error('new');\n"
        "  if (data.fails !== 'c') throw new RangeError(data.fails === 'a' ? 'no a' : 'other');\n"
        "  return 1;\n}"
    )

    found = script.compare(1, other)
    only_failed = script.compare(1, other, sample={"last": 3, "status": ["failed"]})

    # A failure of the same kind with the same message is the same, wherever the line is.
    names = ("same", "differing", "newly_failed", "newly_fixed", "undecided")
    assert [found[name] for name in names] == [2, 1, 1, 1, 0]
    assert [each["outcome"] for each in found["differences"]] == [
        "newly_failed", "newly_fixed", "differing",
    ]  # fmt: skip
    assert found["differences"][0]["to"]["error_kind"] == "script_error"
    assert "error_kind" not in found["differences"][0]["from"]
    assert "changes" not in found["differences"][2]
    assert [only_failed[name] for name in names] == [1, 1, 0, 1, 0]

    slow = record("function process(data) { if (data === 2) for (;;); return data }")
    slow.run([b"1"])
    # Recorded by another version, which the endless input does not hold up.
    slow.version("function process(data) { return data }")
    slow.run([b"2"])
    created = slow.post(1, 2)
    endless = _query(
        system,
        "SELECT from_execution_id FROM comparison_items WHERE comparison_id = $1 AND position = 1",
        created.json()["id"],
    )
    assert system.client.post(f"/executions/{endless}/cancel").status_code == 200
    ended = system.client.get(f"{created.headers['Location']}?wait=60").json()
    assert (ended["same"], ended["undecided"], ended["clean"]) == (1, 1, False)


def test_erased_inputs_are_left_out_and_erased_results_are_not_shown(
    system: System, record: Record
) -> None:
    script = record("function process(data) { return {data, secret: 'x'.repeat(data)} }")
    kept, erased = script.run([b"3", b"4000"])
    other = script.version("function process(data) { return {data, secret: 'y'.repeat(data)} }")
    both = script.compare(1, other)
    system.client.delete(f"/executions/{erased['id']}/data")

    found = script.compare(1, other)

    changes = {each["execution"]: each["changes"] for each in both["differences"]}
    assert changes == {
        kept["id"]: [{"pointer": "/secret", "before": "xxx", "after": "yyy"}],
        erased["id"]: [{"pointer": "/secret", "before_bytes": 4002, "after_bytes": 4002}],
    }
    assert (found["inputs"], found["erased"], found["differing"]) == (1, 1, 1)
    # Whoever erases a replay's data erases what a comparison shows of it.
    [difference] = found["differences"]
    system.client.delete(f"/executions/{difference['to']['execution']}/data")
    [shown] = system.client.get(f"/comparisons/{found['id']}").json()["differences"]
    assert shown == {name: value for name, value in difference.items() if name != "changes"}
    system.client.delete(f"/executions/{kept['id']}/data")
    for refused in (script.post(1, other), record(SOURCE).post(1, 1)):
        assert (refused.status_code, refused.json()["type"]) == (
            409, "urn:crivo:problem:nothing-to-compare",
        )  # fmt: skip


def test_large_results_are_compared_by_their_bytes(record: Record) -> None:
    script = record("function process(n) { return 'x'.repeat(n) }")
    script.run([b"2000000"])
    other = script.version("function process(n) { return 'x'.repeat(n) + '!'.repeat(n === 2e6) }")

    same, found = script.compare(1, 1), script.compare(1, other)

    assert same["clean"] is True
    assert found["differences"][0]["changes"] == [
        {"pointer": "", "before_bytes": 2_000_002, "after_bytes": 2_000_003}
    ]


def test_a_repeated_request_creates_one_comparison_and_quotas_hold(record: Record) -> None:
    script = record(SOURCE)
    script.run([b'{"n":1}'])
    headers = {"Idempotency-Key": str(uuid4())}

    first, again = (script.post(1, 1, headers=headers) for _ in range(2))
    other = script.post(1, 1, headers=headers, priority=0)

    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["priority"], first.json()["state"]) == (-10, "running")
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 422


def test_half_a_surrogate_pair_in_names_and_values_is_shown(record: Record) -> None:
    script = record(r"const process = data => ({'\ud800': '\ud800'})")
    script.run([b"1"])
    script.version(r"const process = data => ({'\ud800': '\udfff'})")

    [difference] = script.compare(1, 2)["differences"]

    [change] = difference["changes"]
    assert change == {"pointer": "/\ud800", "before": "\ud800", "after": "\udfff"}


def test_samples_and_filters_have_as_many_bytes_as_a_batch_may(
    system: System, record: Record
) -> None:
    script = record(SOURCE)
    script.run([b'{"n":1}', b'{"n":2}'])
    replays = {"filter": {"script": script.name}}
    with system.another_api(CRIVO_MAX_BATCH_BYTES="13") as url:
        comparison = system.client.post(
            f"{url}/scripts/{script.name}/comparisons", json={"from": 1, "to": 1}
        )
        fewer = {"from": 1, "to": 1, "sample": {"last": 1}}
        half = system.client.post(f"{url}/scripts/{script.name}/comparisons", json=fewer)
        replayed = system.client.post(f"{url}/replays", json=replays)

    assert (comparison.status_code, comparison.json()["type"][18:]) == (409, "sample-too-large")
    assert comparison.json()["detail"].startswith("/sample/last: the inputs of both runs have 28 ")
    assert half.status_code == 409
    assert (replayed.status_code, replayed.json()["type"][18:]) == (409, "too-many-to-replay")
    assert replayed.json()["detail"].startswith("/filter: the inputs have 14 bytes")
    assert system.client.post("/replays", json=replays).status_code == 202


def _pages(system: System, address: str) -> Any:  # noqa: ANN401 - pages of JSON
    cursor = ""
    while cursor is not None:
        page = system.client.get(address + (f"&cursor={cursor}" if cursor else "")).json()
        yield page["items"]
        cursor = page["next_cursor"]
