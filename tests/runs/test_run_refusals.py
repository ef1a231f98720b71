"""Runs that cannot be are refused with the member of the body that says so."""

from uuid import uuid4

import httpx
import pytest

from app.auth.model import Scope
from tests.runs.http_runs import create, put, put_numbers, put_scripts
from tests.support.system import System
from tests.support.system_with_keys import SystemWithKeys


@pytest.fixture(scope="module", autouse=True)
def scripts(system: System) -> None:
    put_scripts(system)


@pytest.fixture
def numbers(system: System) -> str:
    return put_numbers(system)


@pytest.mark.parametrize(
    ("script", "more", "pointer", "text"),
    [
        ("run-clean", {}, "/output", "has no fold"),
        ("run-process", {}, "/output", 'with "each": "record" and an "output"'),
        ("run-sum", {"output": {"dataset": "out"}}, "/output", "needs `map`"),
        ("run-process", {"output": {"dataset": "out"}}, "/output", '"each": "record"'),
        ("run-sum", {"each": "record"}, "/each", "needs an output"),
        (
            "run-clean",
            {"each": "record", "output": {"dataset": "out"}},
            "/each",
            "needs `process`",
        ),
        (
            "run-process",
            {"each": "record", "format": "lines", "output": {"dataset": "out"}},
            "/each",
            "format records",
        ),
        (
            "run-image",
            {"each": "record", "output": {"dataset": "out"}},
            "/each",
            "takes bytes",
        ),
        (
            "run-clean",
            {"format": "bytes", "output": {"dataset": "out", "key": ""}},
            "/output/key",
            "needs records",
        ),
        ("run-sum", {"emit": "many"}, "/emit", "needs an output"),
        (
            "run-process",
            {"each": "record", "emit": "many", "output": {"dataset": "out"}},
            "/emit",
            "needs `map`",
        ),
        ("run-clean", {"output": {"dataset": "Bad Name"}}, "/output/dataset", "cannot name"),
        (
            "run-clean",
            {"format": "bytes", "output": {"dataset": "out", "key": "/pk"}},
            "/output/key",
            "needs records",
        ),
        ("run-clean", {"output": {"dataset": "out", "key": "pk"}}, "/output/key", ""),
        ("run-sum", {"limits": {"wall_ms": 300_001}}, "/limits/wall_ms", ""),
        ("run-sum", {"callback_url": "ftp://x"}, "/callback_url", ""),
        ("run-sum", {"max_errors": -1}, "/max_errors", ""),
        ("run-sum", {"format": "xml"}, "/format", ""),
        ("run-sum", {"unknown": 1}, "/unknown", ""),
    ],
)
def test_what_a_script_cannot_do_is_refused_by_name(
    system: System, numbers: str, script: str, more: dict[str, object], pointer: str, text: str
) -> None:
    answer = create(system, script, numbers, **more)

    assert answer.status_code == 422, answer.text
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert text in fault["message"]
    assert system.client.get("/datasets/out").status_code == 404


def test_references_and_datasets_that_do_not_fit_are_refused(system: System, numbers: str) -> None:
    for script, dataset, status, pointer in (
        ("nowhere", numbers, 404, "/script"),
        ("run-sum@9", numbers, 404, "/script"),
        ("run-sum", "nowhere", 404, "/dataset"),
        ("run-sum", f"{numbers}@9", 404, "/dataset"),
    ):
        answer = create(system, script, dataset)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer)
        assert answer.json()["detail"].startswith(f"{pointer}: ")
    empty, raw = f"empty-{uuid4()}", f"raw-{uuid4()}"
    for name, format_ in ((empty, "jsonl"), (raw, "bytes")):
        assert system.client.put(f"/datasets/{name}", json={"format": format_}).is_success
    assert create(system, "run-sum", empty).status_code == 404
    put(system, raw, "a", b"\xff")
    [fault] = create(system, "run-sum", raw, format="lines").json()["errors"]
    assert fault["pointer"] == "/format"
    for output in ({"dataset": raw}, {"dataset": empty, "key": "/other"}):
        differs = create(system, "run-clean", numbers, output=output)
        assert differs.status_code == 409, differs.text
        assert differs.json()["errors"][0]["pointer"] == "/output"
    malformed = system.client.post(
        "/runs",
        content=f'{{"script":"run-sum","dataset":"{numbers}","params":{{"a":NaN}}}}',
        headers={"Content-Type": "application/json"},
    )
    assert malformed.status_code in (400, 422)


def test_a_tenant_has_a_limited_number_of_runs_that_have_not_ended(
    system: System, numbers: str
) -> None:
    names = [f"slow-{uuid4()}" for _ in range(2)]
    with system.another_api(CRIVO_MAX_ACTIVE_RUNS="1") as url:
        first, second = (
            httpx.post(
                f"{url}/runs",
                json={"script": "run-slow", "dataset": numbers, "output": {"dataset": name}},
                trust_env=False,
            )
            for name in names
        )

    assert first.status_code == 202, first.text
    assert second.status_code == 429, second.text
    problem = second.json()
    assert (problem["quota"], problem["limit"], problem["used"]) == ("active-runs", 1, 1)
    # Nothing stays of a run that is refused.
    assert [system.client.get(f"/datasets/{each}").status_code for each in names] == [200, 404]
    assert system.client.post(f"{first.headers['Location']}/cancel").is_success


def test_an_output_also_takes_the_scope_of_datasets(keyed: SystemWithKeys) -> None:
    own = keyed.key("default", [Scope.READ, Scope.WRITE_EXECUTIONS]).key
    body = {"script": "nowhere", "dataset": "nowhere"}

    plain = keyed.post("/runs", own, json=body)
    refused = keyed.post("/runs", own, json={**body, "output": {"dataset": "out"}})

    assert plain.status_code == 404
    assert refused.status_code == 403
    assert "datasets:write" in refused.json()["detail"]
