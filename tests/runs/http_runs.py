"""Scripts, datasets and requests of tests that make runs over HTTP."""

from typing import Any, Final
from uuid import uuid4

import httpx

from tests.support.system import System, until

SUM: Final = """
function start() { return { sum: 0, at: Date.now(), random: Math.random() } }
function step(state, records) { for (const each of records) state.sum += each.n; return state }
function merge(a, b) { return { ...a, sum: a.sum + b.sum } }
function finish(state) { return state }
"""
CLEAN: Final = """
function map(record, context) {
  if (record.n < 0) throw new RangeError("negative");
  return record.n % 2 ? null : { pk: record.n, by: context.params.by ?? 0 };
}
"""
PROCESS: Final = "function process(data) { return { pk: data.n } }"
SLOW: Final = (
    "function map(record) { for (const end = performance.now() + 60000; performance.now() < end;);"
    " return record }"
)


def put_scripts(system: System) -> None:
    for name, source in (
        ("run-sum", SUM), ("run-clean", CLEAN), ("run-process", PROCESS), ("run-slow", SLOW),
        ("run-both", SUM + CLEAN),
    ):  # fmt: skip
        answer = system.client.put(f"/scripts/{name}", json={"source": source})
        assert answer.is_success, answer.text
    in_bytes = {"source": "function process(bytes) { return bytes }", "io": "bytes"}
    assert system.client.put("/scripts/run-image", json=in_bytes).is_success


def put_numbers(system: System) -> str:
    """Publish two files, of which the second has two lines that fail; return the dataset."""
    name = f"numbers-{uuid4()}"
    created = system.client.put(f"/datasets/{name}", json={"format": "text"})
    assert created.status_code == 201, created.text
    put(system, name, "a.jsonl", b'{"n":1}\n{"n":2}\n{"n":4}\n')
    put(system, name, "b/c.jsonl", b'{"n":6}\n{"n":-1}\n{"n":"\xc3\xa4"\n{"n":8}\n')
    return name


def put(system: System, dataset: str, path: str, content: bytes) -> None:
    answer = system.client.put(f"/datasets/{dataset}/files/{path}", content=content)
    assert answer.is_success, answer.text


def create(system: System, script: str, dataset: str, **more: object) -> httpx.Response:
    # The text of put_numbers is JSON, all but a line.
    wanted = {"script": script, "dataset": dataset, "format": "records", **more}
    return system.client.post("/runs", json=wanted)


def accepted(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"id", "status", "url"}
    assert answer.headers["Location"] == answer.json()["url"]
    return str(answer.json()["url"])


def finished(system: System, location: str) -> dict[str, Any]:
    for _ in until(f"{location} has finished"):
        run: dict[str, Any] = system.client.get(location, params={"wait": 10}).json()
        if run["finished_at"] is not None:
            return run
    raise AssertionError
