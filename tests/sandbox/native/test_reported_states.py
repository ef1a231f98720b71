"""API and worker log, when they start, which native parts they use."""

import json
from itertools import chain

from tests.sandbox.native.engines import TURNED_OFF
from tests.support.system import System, until


def _states_in(log: str) -> list[dict[str, str]]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [event["native"] for event in events if event["event"] == "sandbox.opened"]


def test_each_process_logs_the_states_once(system: System) -> None:
    for module in ("app.main", "app.worker"):
        # Each process has its own log. Other tests start some, of which not all open a sandbox.
        logs = list(system.folder.glob(f"{module}-*.log"))
        reported = [_states_in(log.read_text(errors="replace")) for log in logs]
        assert max(map(len, reported)) == 1
        for states in chain.from_iterable(reported):
            assert len(states) == 7
            assert set(states.values()) == {"on"}


def test_a_worker_without_native_parts_logs_why(stopped_system: System) -> None:
    stopped_system.start_worker(CRIVO_NATIVE="false")
    reported: list[dict[str, str]] = []
    for _ in until("the worker has opened its sandbox"):
        reported = _states_in(stopped_system.logs_of_process("app.worker"))
        if reported:
            break
    assert [set(states.values()) for states in reported] == [{TURNED_OFF}]
