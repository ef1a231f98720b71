"""Failed executions are replayed as a batch, whose counts are those of the re-drive."""

from concurrent.futures import ThreadPoolExecutor

from tests.comparisons.conftest import Recorded
from tests.redrives.http_redrives import counts, created, ended, redrive
from tests.support.system import System, stop

SOURCE = "function process(data) { if (data.n % 2) throw new Error(data.n); return data.n }"
MENDED = "function process(data) { if (data.n === 3) throw new Error('three'); return data.n }"


def test_failed_executions_are_replayed_until_each_has_succeeded(
    system: System,
) -> None:
    script = Recorded(system, SOURCE)
    executions = script.run([b'{"n":%d}' % n for n in range(6)])
    script.version(MENDED)
    filter_ = {"execution": {"script": script.name}}

    plan = redrive(system, filter_, script=f"{script.name}@2", dry_run=True)
    assert plan.status_code == 200, plan.text
    assert plan.json()["matched"] == 3
    assert [
        (each["id"], each["outcome"], each.get("forward")) for each in plan.json()["samples"]
    ] == [
        (executions[5]["id"], "moved", 5),
        (executions[3]["id"], "failed_again", None),
        (executions[1]["id"], "moved", 1),
    ]

    shown = ended(system, created(redrive(system, filter_, script=f"{script.name}@2")))
    assert (shown["status"], counts(shown)) == ("finished", (3, 2, 0, 1, 0, 0))
    batch = shown["batch_url"].rpartition("/")[2]
    replays = system.client.get(f"/executions?batch={batch}").json()["items"]
    assert {each["replay_of"] for each in replays} == {executions[n]["id"] for n in (1, 3, 5)}
    # The originals stay as they are, and those that have succeeded now are not tried again.
    assert system.client.get(f"/executions/{executions[1]['id']}").json()["status"] == "failed"
    again = ended(system, created(redrive(system, filter_)))
    assert counts(again) == (1, 0, 0, 1, 0, 0)
    assert redrive(system, filter_, dry_run=True).json()["matched"] == 1


def test_a_cancelled_redrive_frees_what_it_has_not_tried(stopped_system: System) -> None:
    system = stopped_system.start()
    script = Recorded(system, SOURCE)
    script.run([b'{"n":%d}' % n for n in (1, 3)])
    stop(system.workers.pop())
    filter_ = {"execution": {"script": script.name}}
    location = created(redrive(system, filter_))
    other = redrive(system, filter_)
    assert other.json()["type"] == "urn:crivo:problem:nothing-to-redrive"
    asked = system.client.get(location, params={"wait": 0.01})
    assert (asked.json()["status"], asked.headers["Retry-After"]) == ("queued", "1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(system.client.get, location, params={"wait": 60})
        cancelled = system.client.post(f"{location}/cancel").json()
    assert waiting.result().json() == cancelled
    assert (cancelled["status"], counts(cancelled)) == ("cancelled", (2, 0, 0, 0, 0, 2))
    assert system.client.get(cancelled["batch_url"]).json()["status"] == "cancelled"
    assert system.client.post(f"{location}/cancel").json() == cancelled
    logged = system.client.get("/audit?action=redrive.cancelled").json()["items"]
    assert [(each["target"], each["details"]) for each in logged] == [(location, {"remaining": 2})]
    later = created(redrive(system, filter_))
    system.start_worker()
    shown = ended(system, later)
    assert counts(shown) == (2, 0, 0, 2, 0, 0)
    refused = system.client.post(f"{later}/cancel")
    assert refused.json()["type"] == "urn:crivo:problem:redrive-finished"
