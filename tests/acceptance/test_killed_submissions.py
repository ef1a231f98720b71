"""Submissions that are sent twice are executed once, whatever is killed meanwhile."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import replace

from scripts.benchmarks.kill import Evidence, find_faults
from tests.support.servers import ROOT

COUNT = 500


def test_submissions_sent_twice_are_executed_once_whatever_is_killed() -> None:
    arguments = ("kill", "--count", str(COUNT), "--kills", "6")
    done = subprocess.run(
        [ROOT / "scripts" / "bench", *arguments], cwd=ROOT, capture_output=True, check=False
    )

    assert done.stderr == b""
    report = json.loads(done.stdout)
    assert report["first_faults"] == []
    assert done.returncode == report["faults"] == 0
    assert (report["submissions"], report["executions"]) == (COUNT, COUNT)
    assert report["answers"] == 2 * COUNT
    assert COUNT // 2 == report["callbacks"] <= report["deliveries"]
    assert sum(report["attempts"].values()) == COUNT
    assert report["kills"] == {"api": 2, "postgres": 2, "worker": 2}
    # Each kill of the API breaks connections, and without PostgreSQL nothing is accepted.
    assert set(report["retried"]) >= {"broken connection", "503"}


def _evidence() -> Evidence:
    """What three submissions leave if all is well."""
    return Evidence(
        ids={number: {f"id-{number}"} for number in range(3)},
        refused=[],
        executions={f"id-{number}": _execution(number) for number in range(3)},
        stored=3,
        keys=3,
        finished={f"id-{number}": 1 for number in range(3)},
        callbacks={"id-0": {"msg-0"}, "id-2": {"msg-2"}},
        forged=[],
    )


def _execution(number: int) -> dict[str, Any]:
    data, output = b"%d" % number, b'{"n":%d,"x":9999999}' % number
    return {
        "status": "succeeded",
        "attempts": 2,
        "result": {"n": number, "x": 9_999_999},
        "receipt": {
            "input": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
            "output": {"sha256": hashlib.sha256(output).hexdigest(), "bytes": len(output)},
            "attempts": 2,
            "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01Z",
            "finished_at": "2026-01-01T00:00:02Z",
            "run_ms": 1.0,
            "lead_ms": 2.0,
        },
    }


def _with_execution(change: Callable[[dict[str, Any]], object]) -> Callable[[Evidence], Evidence]:
    def changed(evidence: Evidence) -> Evidence:
        executions: dict[str, Any] = deepcopy(dict(evidence.executions))
        change(executions["id-1"])
        return replace(evidence, executions=executions)

    return changed


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda e: e, None),
        (lambda e: replace(e, ids={**e.ids, 1: {"id-1", "id-2"}}), "1: has the executions ['id-1"),
        (lambda e: replace(e, ids={**e.ids, 1: set()}), "1: has the executions []"),
        (lambda e: replace(e, ids={**e.ids, 1: {"id-2"}}), "id-2: of 2 submissions"),
        (lambda e: replace(e, stored=4), "4 executions for 3 submissions"),
        (lambda e: replace(e, keys=2), "2 keys for 3 submissions"),
        (lambda e: replace(e, refused=["1: 422"]), "refused: 1: 422"),
        (lambda e: replace(e, callbacks={"id-0": {"msg-0"}}), "2: id-2: has the callbacks []"),
        (
            lambda e: replace(e, callbacks={**e.callbacks, "id-0": {"a", "b"}}),
            "0: id-0: has the callbacks ['a', 'b']",
        ),
        (lambda e: replace(e, forged=["signature"]), "callbacks: signature"),
        (lambda e: replace(e, finished={"id-1": 2}), "id-1: finished 2 times"),
        (_with_execution(lambda e: e.update(status="failed")), "1: id-1: failed"),
        (_with_execution(lambda e: e.update(result=None)), "1: id-1: wrong: result"),
        (_with_execution(lambda e: e.update(attempts=1)), "1: id-1: wrong: attempts"),
        (
            _with_execution(lambda e: e["receipt"].update(started_at="2025")),
            "1: id-1: wrong: times",
        ),
        (
            _with_execution(lambda e: e["receipt"]["output"].update(sha256="")),
            "1: id-1: wrong: output",
        ),
    ],
)
def test_every_loss_and_every_incoherence_is_a_fault(
    change: Callable[[Evidence], Evidence], fault: str | None
) -> None:
    faults = find_faults(3, change(_evidence()))

    if fault is None:
        assert faults == []
    else:
        assert any(each.startswith(fault) for each in faults)
