"""Workers are killed in the midst of a re-drive: nothing is lost, and nothing is doubled."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.redrives.http_redrives import counts, created, ended, lines_of, redrive
from tests.redrives.test_redrives_of_runs import LENIENT, STRICT, run_of, upload
from tests.support.system import System, until

_RECORDS: Final = 2_500
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
        worker = system.workers.pop()
        for _ in until("the re-drive goes on"):
            if system.client.get(location).json()["moved"] > kill:
                break
        worker.kill()
        worker.wait()
        system.start_worker(**_LEASE)
    shown = ended(system, location)
    assert counts(shown) == (_RECORDS, _RECORDS, 0, 0, 0)
    published = lines_of(system, output)
    assert len(published) == _RECORDS + 1
    assert len(set(published)) == _RECORDS + 1
