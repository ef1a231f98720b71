"""Workers are killed in the midst of a re-drive: nothing is lost, and nothing is doubled."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.redrives.http_redrives import (
    counts,
    created,
    ended,
    lines_of,
    put_dataset,
    put_pipe,
    put_schema,
    redrive,
    send,
)
from tests.redrives.test_redrives_of_runs import LENIENT, STRICT, run_of, upload
from tests.support.system import System, until

_RECORDS: Final = 2_500
_LETTERS: Final = 600
_LEASE: Final = {"CRIVO_LEASE_SECONDS": "1"}


def test_workers_are_killed_and_each_record_is_published_once(stopped_system: System) -> None:
    system = stopped_system.start()
    script = upload(system, STRICT, LENIENT)
    lines = [b'{"n":"%d"}' % n for n in range(1, _RECORDS + 1)]
    run, output = run_of(system, f"{script}@1", [b'{"n":0}', *lines], max_errors=_RECORDS)
    # Each asks for all of it at the same time.
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(lambda _: redrive(system, {"run": run}, script=script), range(4)))
    [location] = [created(each) for each in asked if each.status_code == 202]
    assert sorted(each.status_code for each in asked) == [202, 409, 409, 409]
    for kill in range(2):
        _kill_when_moved(system, location, more_than=kill)
    shown = ended(system, location)
    assert counts(shown) == (_RECORDS, _RECORDS, 0, 0, 0, 0)
    published = lines_of(system, output)
    assert len(published) == _RECORDS + 1
    assert len(set(published)) == _RECORDS + 1


def test_workers_are_killed_and_each_letter_is_moved_once_beside_its_pipe(
    stopped_system: System,
) -> None:
    # With a quota, letters and snapshots take turns at the tenant's lock of stored bytes.
    stopped_system.environ["CRIVO_DEFAULT_MAX_STORED_BYTES"] = str(1 << 30)
    system = stopped_system.start()
    schema, sink = put_schema(system, "integer"), put_dataset(system)
    pipe = put_pipe(system, schema, {"dataset": {"dataset": sink}})
    refused = [b'{"n":"%d"}' % n for n in range(_LETTERS)]
    send(system, pipe, refused)
    put_schema(system, "string", name=schema)
    location = created(redrive(system, {"pipe": pipe}, per_second=100))
    beside: list[bytes] = []
    for kill in range(2):
        new = [b'{"n":"new %d %d"}' % (kill, n) for n in range(50)]
        answer = system.client.post(
            f"/pipes/{pipe}/events",
            content=b"\n".join([*new, b'{"n":%d}' % kill]),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 202, answer.text
        beside += new
        _kill_when_moved(system, location, more_than=100 * kill)
    assert counts(ended(system, location)) == (_LETTERS, _LETTERS, 0, 0, 0, 0)
    done: dict[str, int] = {}
    for _ in until("the pipe has done all events"):
        done = system.client.get(f"/pipes/{pipe}").json()["counts"]
        if done["in"] == _LETTERS + len(beside) + 2:
            break
    assert (done["forwarded"], done["refused"]) == (len(beside), _LETTERS + 2)
    # Into a dataset each is published in the transaction of its mark.
    assert lines_of(system, sink) == sorted([*refused, *beside])
    [letters] = system.client.get(f"/dead-letters/counts?pipe={pipe}").json()["items"]
    assert (letters["dead"], letters["moved"]) == (2, _LETTERS)


def _kill_when_moved(system: System, location: str, *, more_than: int) -> None:
    """Kill the worker once so many were moved, and start another."""
    worker = system.workers.pop()
    for _ in until("the re-drive goes on"):
        if system.client.get(location).json()["moved"] > more_than:
            break
    worker.kill()
    worker.wait()
    system.start_worker(**_LEASE)
