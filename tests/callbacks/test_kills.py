"""Every callback is delivered at least once, with one id, though API processes are killed."""

from collections import defaultdict
from uuid import UUID

from tests.callbacks.conftest import TO_LOOPBACK
from tests.support.receivers import Receiver
from tests.support.system import System, until

COUNT = 60


def test_callbacks_survive_kills_of_the_api(stopped_system: System, receiver: Receiver) -> None:
    system = stopped_system
    system.environ |= TO_LOOPBACK
    system.start().upload("echo", "const process = data => data")
    url = f"http://127.0.0.1:{receiver.port}"
    # Some are under way, without an answer, when the process is killed.
    locations = [
        system.submit("echo", b"%d" % number, callback_url=f"{url}/{path}?n={number}")
        for number in range(COUNT)
        for path in ("ok" if number % 3 else "held",)
    ]
    for _ in until("attempts are under way"):
        if sum("/held" in each for each in receiver.paths()) >= COUNT // 6:
            break
    for _ in range(2):
        _kill_api(system)
        system.start_api()
        system.await_ready()
    receiver.release()

    for location in locations:
        for _ in until(f"the callback of {location} is delivered"):
            [callback] = system.client.get(f"{location}/callbacks").json()["items"]
            if callback["status"] == "delivered":
                break

    ids: dict[str, set[str]] = defaultdict(set)
    for each in receiver.received:
        ids[each.path].add(each.headers["webhook-id"])
    assert len(ids) == COUNT
    assert {len(each) for each in ids.values()} == {1}
    assert len(set.union(*ids.values())) == COUNT
    assert all(UUID(each) for found in ids.values() for each in found)
    # Some were sent twice: their attempts had no answer as the process was killed.
    assert len(receiver.received) > COUNT


def _kill_api(system: System) -> None:
    assert system.api is not None
    system.api.kill()
    system.api.wait()
