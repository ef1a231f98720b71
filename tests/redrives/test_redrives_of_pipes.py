"""Dead letters of a pipe are forwarded once they are valid, and marked."""

from app.limits import MAX_SAMPLE_OUTPUT_BYTES
from tests.redrives.http_redrives import (
    counts,
    created,
    ended,
    lines_of,
    put_dataset,
    put_pipe,
    put_schema,
    redrive,
    samples_of,
    send,
)
from tests.support.system import System, until

EVENTS = [b'{"n": 1}', b'{"n":"2"}', b'{"n": "3" }', b'{"n":null}', b"no JSON"]


def test_letters_are_forwarded_as_they_came_after_the_schema_is_mended(system: System) -> None:
    schema, sink = put_schema(system, "integer"), put_dataset(system)
    pipe = put_pipe(system, schema, {"dataset": {"dataset": sink}})
    send(system, pipe, EVENTS)
    filter_ = {"pipe": pipe, "kind": "input_schema_mismatch"}
    before = redrive(system, filter_, dry_run=True).json()
    assert before["matched"] == 3
    assert {each["outcome"] for each in before["samples"]} == {"failed_again"}
    assert before["samples"][0]["error"]["schema_errors"][0]["pointer"] == "/n"

    put_schema(system, "string", name=schema)
    plan = redrive(system, filter_, dry_run=True).json()
    assert [each["outcome"] for each in plan["samples"]] == ["moved", "moved", "failed_again"]
    assert plan["samples"][0]["forward"] == {"n": "2"}
    assert lines_of(system, sink) == [EVENTS[0]]

    shown = ended(system, created(redrive(system, filter_)))
    assert (shown["status"], counts(shown)) == ("finished", (3, 2, 0, 1, 0, 0))
    assert lines_of(system, sink) == sorted(EVENTS[:3])
    letters = system.client.get(f"/dead-letters?pipe={pipe}").json()["items"]
    [failure] = shown["failures"]
    assert failure["error"]["schema_errors"][0]["pointer"] == "/n"
    assert sorted((each["state"], each["attempts"]) for each in letters) == [
        ("dead", 1), ("dead", 2), ("moved", 2), ("moved", 2),
    ]  # fmt: skip
    # What was moved is never tried again, and what was not is found by either reason.
    assert counts(ended(system, created(redrive(system, {"pipe": pipe})))) == (2, 0, 0, 2, 0, 0)
    for version, matched in ((1, 2), (2, 2)):
        of_version = {"pipe": pipe, "schema": f"{schema}@{version}"}
        assert redrive(system, of_version, dry_run=True).json()["matched"] == matched
    # What an error says is erased everywhere.
    assert system.client.delete(f"/dead-letters/{failure['id']}").is_success
    [erased] = system.client.get(shown["url"]).json()["failures"]
    kind = failure["error"]["kind"]
    assert erased["error"] == {"kind": kind, "message": "the event is erased"}


def test_a_script_mends_events_before_their_pipe_checks_them(system: System) -> None:
    schema, sink = put_schema(system, "string"), put_dataset(system)
    pipe = put_pipe(system, schema, {"dataset": {"dataset": sink}})
    script = f"{pipe}-mend"
    source = "function map(event) { return event.drop ? null : { n: `${event.n}` } }"
    assert system.client.put(f"/scripts/{script}", json={"source": source}).is_success
    events = [b'{"n":"1"}', b'{"n":2}', b'{"n":"3","more":1}', b'{"n":"4","drop":true}', b"nothing"]
    send(system, pipe, events)
    assert lines_of(system, sink) == events[:1]

    plan = redrive(system, {"pipe": pipe}, script=f"{script}@1", dry_run=True)
    assert [each[1:] for each in samples_of(plan)] == [
        ("moved", {"n": "2"}), ("moved", {"n": "3"}), ("dropped", None), ("failed_again", None),
    ]  # fmt: skip
    # On trial a value is as large as an upload's sample may be.
    large = "function process(event) { return 'x'.repeat(2 << 20) }"
    assert system.client.put(f"/scripts/{script}-large", json={"source": large}).is_success
    plan = redrive(system, {"pipe": pipe}, script=f"{script}-large", dry_run=True)
    error = plan.json()["samples"][0]["error"]
    assert (error["kind"], error["limit_bytes"]) == ("output_too_large", MAX_SAMPLE_OUTPUT_BYTES)

    shown = ended(system, created(redrive(system, {"pipe": pipe}, script=script)))
    assert counts(shown) == (4, 2, 1, 1, 0, 0)
    [dropped] = system.client.get(f"/dead-letters?pipe={pipe}&state=dropped").json()["items"]
    assert dropped["dropped_at"]
    assert "moved_at" not in dropped
    assert lines_of(system, sink) == [b'{"n":"1"}', b'{"n":"2"}', b'{"n":"3"}']

    in_bytes = {"source": "function process(bytes) { return bytes }", "io": "bytes"}
    assert system.client.put(f"/scripts/{script}-b", json=in_bytes).is_success
    refused = redrive(system, {"pipe": pipe}, script=f"{script}-b")
    assert refused.json()["type"] == "urn:crivo:problem:script-for-bytes"
    missing = redrive(system, {"pipe": "no-such-pipe"})
    assert missing.json()["detail"].startswith("/filter/pipe: ")


def test_a_rate_bounds_the_batches_and_a_cancelled_redrive_frees_the_rest(system: System) -> None:
    schema, sink = put_schema(system, "string"), put_dataset(system)
    pipe = put_pipe(system, schema, {"dataset": {"dataset": sink}})
    events = [b'{"n":%d}' % n for n in range(30)]
    send(system, pipe, events)
    put_schema(system, "integer", name=schema)
    location = created(redrive(system, {"pipe": pipe}, per_second=1))
    shown = {}
    for _ in until("the first batch is recorded"):
        shown = system.client.get(location).json()
        if shown["moved"]:
            break
    # At full rate all would be one batch.
    assert (shown["status"], shown["per_second"]) == ("running", 1)
    assert 0 < shown["moved"] < len(events)
    cancelled = system.client.post(f"{location}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert system.client.post(f"{location}/cancel").json()["status"] == "cancelled"
    [entry] = [
        each
        for each in system.client.get("/audit?action=redrive.cancelled").json()["items"]
        if each["target"] == location
    ]
    # Of a batch that was in hand, nothing is lost, and nothing is there twice.
    later = ended(system, created(redrive(system, {"pipe": pipe})))
    assert later["moved"] == later["matched"] <= entry["details"]["remaining"]
    for chosen, wanted in (
        ({}, [later["url"], location]),
        ({"status": "cancelled"}, [location]),
        ({"created_from": later["created_at"]}, [later["url"]]),
        ({"created_before": later["created_at"]}, [location]),
    ):
        listed = system.client.get("/redrives", params={"pipe": pipe, **chosen}).json()["items"]
        assert [each["url"] for each in listed] == wanted, chosen
    assert system.client.get("/redrives?pipe=no-such-pipe").status_code == 422
    moved, remaining = counts(system.client.get(location).json())[1::4]
    assert (moved, remaining) == (len(events) - later["moved"], later["moved"])
    assert lines_of(system, sink) == sorted(events)


def test_a_sink_that_is_away_is_waited_for_with_its_reason(system: System) -> None:
    schema, sink = put_schema(system, "integer"), put_dataset(system)
    pipe = put_pipe(system, schema, {"dataset": {"dataset": sink}})
    send(system, pipe, EVENTS)
    put_schema(system, "string", name=schema)
    assert system.client.delete(f"/datasets/{sink}").is_success
    location = created(redrive(system, {"pipe": pipe}))
    shown = {}
    for _ in until("the re-drive waits"):
        shown = system.client.get(location).json()
        if shown["trouble"]:
            break
    assert sink in shown["trouble"]
    assert (shown["status"], counts(shown)) == ("running", (4, 0, 0, 0, 0, 4))
    # What it has marked is its own.
    other = redrive(system, {"pipe": pipe})
    assert other.json()["type"] == "urn:crivo:problem:nothing-to-redrive"
    assert system.client.put(f"/datasets/{sink}", json={"format": "jsonl"}).is_success
    shown = ended(system, location)
    assert (shown["trouble"], counts(shown)) == (None, (4, 2, 0, 2, 0, 0))
    assert lines_of(system, sink) == sorted(EVENTS[1:3])
