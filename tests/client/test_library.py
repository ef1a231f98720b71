"""The library pushes scripts, runs them and reads results, against a real system."""

import io
import json
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from msgspec import Raw

import crivo
from crivo import Crivo
from tests.support.system import CARDS, System

ECHO: Final = "function process(data) { console.log('ran'); return data }"
SLOW: Final = "function process(data) { for (;;) {} }"


@pytest.fixture
def echo(client: Crivo) -> str:
    name = f"echo-{uuid4().hex[:8]}"
    client.scripts.push(name, ECHO)
    return name


def test_the_use_case_takes_two_lines(client: Crivo) -> None:
    client.scripts.push("library-cards", CARDS / "script.js")
    result = client.run("library-cards", CARDS / "payload.json")

    assert result.json() == json.loads((CARDS / "expected.json").read_bytes())
    assert result.execution.receipt is not None


@pytest.mark.parametrize(
    "text", [b"1e21", b"[0.1,-0,12345678901234567]", b'{"b":1,"a":"\xc3\xa9"}', b"null"]
)
def test_a_result_is_the_exact_bytes_of_the_service(
    client: Crivo, echo: str, system: System, text: bytes
) -> None:
    result = client.run(echo, text)

    url = result.execution.result_url
    assert url is not None
    assert result.content == system.client.get(url).content
    assert result.json() == json.loads(result.content)


def test_data_can_be_bytes_a_file_a_stream_or_a_value(
    client: Crivo, echo: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b"[1,2]")

    with path.open("rb") as file:
        for data in (b"[1,2]", path, file, io.BytesIO(b"[1,2]"), iter([b"[1", b",2]"]), [1, 2]):
            assert client.run(echo, data).content == b"[1,2]"
    # Text is a value; a file's name is a Path.
    assert client.run(echo, "data.json").json() == "data.json"
    assert client.run(echo, {"id": uuid4()}).json()
    with pytest.raises(ValueError, match="Out of range"):
        client.run(echo, float("nan"))
    with pytest.raises(TypeError):
        client.run(echo, object())


def test_half_of_a_surrogate_pair_is_read(client: Crivo) -> None:
    name = f"half-{uuid4().hex[:8]}"
    client.scripts.push(
        name,
        "function process(fail) { if (fail) throw Error('\\ud83d!'); return ['\\ud83d', 1] }",
    )

    with pytest.raises(crivo.ExecutionFailed) as failure:
        client.run(name, data=True)
    result = client.run(name, data=False)

    assert failure.value.message == r"\ud83d!"
    assert result.content == rb'["\ud83d",1]'
    assert result.json() == ["\ud83d", 1]


def test_a_large_result_is_complete(client: Crivo, tmp_path: Path) -> None:
    client.scripts.push("library-large", "function process(n) { return 'x'.repeat(n) }")
    size = 3_000_000

    result = client.run("library-large", size)
    saved = client.executions.save_result(result.execution.id, tmp_path / "result.json")

    assert result.content == b'"' + b"x" * size + b'"'
    assert saved == size + 2
    assert (tmp_path / "result.json").read_bytes() == result.content
    assert b"".join(client.executions.input_chunks(result.execution.id)) == b"3000000"


def test_a_failure_has_kind_line_and_column(client: Crivo) -> None:
    failing = "function process(data) {\n  return data.rows.length;\n}\n"
    client.scripts.push("library-throws", failing)

    with pytest.raises(crivo.ExecutionFailed) as failure:
        client.run("library-throws", None)

    error = failure.value
    assert (error.kind, error.name, error.line, error.column) == (
        "script_error",
        "TypeError",
        2,
        15,
    )
    assert error.excerpt == "  return data.rows.length;\n              ^"
    assert str(error) == (
        "script_error: TypeError: Cannot read properties of null (reading 'rows') (2:15)"
    )
    assert error.execution.status == "failed"


def test_a_rejected_script_has_its_findings(client: Crivo) -> None:
    with pytest.raises(crivo.ScriptRejected) as refusal:
        client.scripts.push("broken-source", "function process( {\n")

    [finding] = refusal.value.findings
    assert (finding.line, finding.code) == (2, "syntax_error")
    assert refusal.value.code == "invalid-script"


def test_a_source_that_is_pushed_again_is_no_new_version(client: Crivo) -> None:
    name = f"twice-{uuid4().hex[:8]}"
    first = client.scripts.push(name, ECHO, note="one")
    again = client.scripts.push(name, ECHO)
    second = client.scripts.push(name, ECHO + "\n")

    assert [each.is_new for each in (first, again, second)] == [True, False, True]
    assert [each.version for each in (first, again, second)] == [1, 1, 2]
    assert second.reference == f"{name}@2"
    assert client.scripts.source(name, 1) == ECHO.encode()
    assert [each.version for each in client.scripts.versions(name)] == [2, 1]
    assert client.scripts.diff(name, 1, 1) == ""
    assert client.scripts.diff(name, 1, 2).startswith(f"--- {name}@1\n+++ {name}@2\n")


def test_an_alias_is_promoted_and_rolled_back(client: Crivo) -> None:
    name = f"moved-{uuid4().hex[:8]}"
    for number in range(3):
        client.scripts.push(name, f"function process(_) {{ return {number} }}")

    assert client.scripts.promote(name, "prod").version == 3
    assert client.run(f"{name}@prod", None).json() == 2
    assert client.scripts.rollback(name, "prod").version == 2
    assert client.scripts.promote(name, "test", "prod").version == 2
    assert client.scripts.promote(name, "prod", 1).version == 1
    with pytest.raises(crivo.CrivoError, match="version 1 already"):
        client.scripts.rollback(name, "prod")
    assert {each.alias: each.version for each in client.scripts.aliases(name)} == {
        "prod": 1,
        "test": 2,
    }
    assert client.scripts.show(f"{name}@prod").version == client.scripts.version(name, "prod")


def test_an_archived_script_is_restored(client: Crivo, echo: str) -> None:
    client.scripts.archive(echo)

    with pytest.raises(crivo.Conflict):
        client.run(echo, 1)
    assert echo not in [each.name for each in client.scripts.list(name=echo)]
    assert [each.name for each in client.scripts.list(name=echo, archived=True)] == [echo]
    assert client.scripts.restore(echo).archived_at is None
    assert client.run(echo, 1).json() == 1


def test_a_sample_runs_and_nothing_is_stored(client: Crivo) -> None:
    source = (
        "function process(rows, { params }) { console.log('x'); return rows.length + params.n }"
    )

    accepted = client.scripts.check(source, sample=b"[1,2]", params={"n": 40}, wall_ms=900)

    assert accepted.sample is not None
    assert isinstance(accepted.sample.result, Raw)
    assert bytes(accepted.sample.result) == b"42"
    assert accepted.sample.logs.lines[0].text == "x"
    assert accepted.sample.receipt.limits.wall_ms == 900


def test_options_reach_the_execution(client: Crivo) -> None:
    name = f"options-{uuid4().hex[:8]}"
    client.scripts.push(
        name, "function process(_, { params, labels }) { return { params, labels } }"
    )

    result = client.run(
        name,
        None,
        params={"a": [1, "é"]},
        labels={"run": "x:y"},
        seed=7,
        priority=3,
        wall_ms=800,
    )

    assert result.json() == {"params": {"a": [1, "é"]}, "labels": {"run": "x:y"}}
    receipt = result.execution.receipt
    assert receipt is not None
    assert (receipt.seed, receipt.limits.wall_ms, result.execution.priority) == (7, 800, 3)


def test_a_list_runs_over_its_pages(client: Crivo, echo: str) -> None:
    submitted = [client.executions.submit(echo, n, labels={"of": echo}).id for n in range(5)]
    for each in submitted:
        client.executions.wait(each)

    listed = client.executions.list(page_size=2, labels={"of": echo}, status="succeeded")

    assert [each.id for each in listed] == submitted[::-1]
    assert list(client.executions.list(script=f"{echo}@1", status="failed")) == []


def test_an_execution_is_watched_until_its_end(client: Crivo, echo: str) -> None:
    queued = client.executions.submit(echo, 1)

    states = [each.status for each in client.executions.watch(queued.id)]

    assert states[-1] == "succeeded"
    assert [each.status for each in client.executions.watch(queued.id)] == ["succeeded"]
    assert client.executions.logs(queued.id).lines[0].text == "ran"
    client.executions.erase(queued.id)
    with pytest.raises(crivo.Gone):
        client.executions.result(queued.id)


def test_an_execution_that_takes_longer_can_be_cancelled(client: Crivo) -> None:
    client.scripts.push("library-endless", SLOW, wall_ms=60_000)

    with pytest.raises(crivo.StillRunning) as late:
        client.run("library-endless", None, timeout=0.2)
    cancelled = client.executions.cancel(late.value.execution.id)

    assert cancelled.status == "cancelled"
    assert client.executions.cancel(cancelled.id).status == "cancelled"
    with pytest.raises(crivo.ExecutionCancelled):
        client.executions.result(cancelled.id)


def test_what_is_missing_is_named(client: Crivo) -> None:
    with pytest.raises(crivo.NotFound, match="no script 'missing'") as refusal:
        client.run("missing", 1)
    assert refusal.value.code == "script-not-found"
    assert refusal.value.request_id
    with pytest.raises(crivo.NotFound):
        client.executions.show(uuid4())
    with pytest.raises(crivo.NotFound):
        # One segment of a path, whatever it holds.
        client.scripts.show("a/../../b?c")


def test_the_attempts_of_a_callback_are_listed(client: Crivo, echo: str) -> None:
    queued = client.executions.submit(echo, 1, callback_url="https://receiver.invalid/done")

    execution = client.executions.wait(queued.id)
    [callback] = client.executions.callbacks(queued.id)

    assert execution.callback_url == callback.url == "https://receiver.invalid/done"
    assert client.executions.resend_callback(queued.id, callback.id).status == "pending"


def test_the_service_is_asked_for_its_state(client: Crivo) -> None:
    assert client.ready().access == "open"


def test_an_execution_is_replayed_and_compared(client: Crivo, echo: str) -> None:
    original = client.run(echo, {"a": 1}, seed=7).execution
    client.scripts.push(echo, "function process(data) { return [data] }")

    same = client.executions.wait(client.executions.replay(original.id).id)
    other = client.executions.wait(client.executions.replay(original.id, script=f"{echo}@2").id)

    assert same.replay_of == original.id
    assert same.replay is not None
    assert same.replay.identical
    assert other.replay is not None
    assert not other.replay.identical
