"""An alias moves on condition of a comparison, only if that very comparison permits it."""

from collections.abc import Callable
from uuid import uuid4

from tests.comparisons.conftest import Recorded
from tests.support.system import System

Record = Callable[[str], Recorded]

SOURCE = "function process(data) { return {total: data.n} }"


def test_a_promotion_needs_the_very_comparison(system: System, record: Record) -> None:
    script, stranger = record(SOURCE), record(SOURCE)
    for each in (script, stranger):
        each.run([b'{"n":1}'])
    same = script.version(SOURCE + "\n")
    worse = script.version("function process(data) { return 1 }")
    foreign = stranger.compare(1, 1)["id"]
    clean, differing = script.compare(1, same), script.compare(1, worse)
    endless = script.version("function process(data) { for (;;); }")
    running = script.post(1, endless).json()["id"]

    def refusal(version: int, comparison: str, **more: str) -> str:
        answer = script.promote(version, comparison=comparison, **more)
        assert (answer.status_code, answer.json()["type"][18:]) == (409, "promotion-refused")
        detail: str = answer.json()["detail"]
        assert detail.startswith("/comparison: ")
        return detail

    assert "does not exist yet" in refusal(same, clean["id"])
    assert script.promote(1).status_code == 200
    assert "has no comparison" in refusal(same, str(uuid4()))
    assert "has no comparison" in refusal(1 + 1, foreign, accept="differences")
    assert "would name" in refusal(worse, clean["id"], accept="differences")
    assert "has not finished" in refusal(endless, running, accept="differences")
    assert "same" in refusal(worse, differing["id"])
    assert script.promote(same, accept="differences").status_code == 422
    assert script.promote(same, comparison=clean["id"]).status_code == 200
    # It compares with the version that the alias names no more.
    assert "names version 2" in refusal(worse, differing["id"], accept="differences")
    assert script.promote(1).status_code == 200
    batch = system.client.get(f"/comparisons/{running}").json()["batch"]
    assert system.client.post(f"/batches/{batch}/cancel").status_code == 200
    cancelled = system.client.get(f"/comparisons/{running}?wait=60").json()
    assert (cancelled["state"], cancelled["undecided"]) == ("finished", 1)
    accepted = script.promote(worse, comparison=differing["id"], accept="differences")
    assert accepted.json()["version"] == worse
    assert "has no comparison" in refusal(worse, str(uuid4()))
    assert "would name" in refusal(worse, clean["id"])
    # Repeating it changes nothing.
    assert script.promote(worse, comparison=differing["id"]).json() == accepted.json()
    target = f"/scripts/{clean['script']['id']}"
    log = system.client.get("/audit", params={"target": f"{target}/aliases/prod"}).json()["items"]
    assert [each["details"] for each in log] == [
        {"version": worse, "comparison": differing["id"], "clean": False, "accept": "differences"},
        {"version": 1},
        {"version": same, "comparison": clean["id"], "clean": True},
        {"version": 1},
    ]
    created = system.client.get("/audit", params={"target": target}).json()["items"]
    assert {"comparison": differing["id"], "from": 1, "to": worse} in [
        each["details"] for each in created if each["action"] == "comparison.created"
    ]
