"""API and worker log once, when they start, which native parts they use."""

import json

from tests.sandbox.native.engines import TURNED_OFF
from tests.support.system import System, until


def _states(system: System, module: str) -> list[dict[str, str]]:
    lines = system.logs_of_process(module).splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["native"] for event in events if event["event"] == "sandbox.opened"]


def test_the_states_are_logged_once(system: System) -> None:
    for module in ("app.main", "app.worker"):
        (states,) = _states(system, module)
        assert len(states) == 5
        assert set(states.values()) == {"on"}


def test_a_worker_without_native_parts_logs_why(stopped_system: System) -> None:
    stopped_system.start_worker(CRIVO_NATIVE="false")
    reported: list[dict[str, str]] = []
    for _ in until("the worker has opened its sandbox"):
        reported = _states(stopped_system, "app.worker")
        if reported:
            break
    assert [set(states.values()) for states in reported] == [{TURNED_OFF}]
