"""A queued execution shows its place in the queue and why it waits."""

from tests.support.servers import execute
from tests.support.system import System


def test_a_queued_execution_shows_its_position_and_why_it_waits(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("waits", "const process = d => d")
    first, low, high = (system.submit("waits", b"1", priority=priority) for priority in (0, -1, 5))

    def waiting(location: str) -> tuple[int, str]:
        shown = system.client.get(location).json()["waiting"]
        return shown["position"], shown["reason"]

    assert [waiting(each) for each in (high, first, low)] == [
        (number, "no_worker") for number in (1, 2, 3)
    ]
    # A worker that is alive and claims nothing.
    execute(
        system.environ["DATABASE_URL"],
        "INSERT INTO workers (id, host, pid, slots, v8_version, lockdown) "
        "VALUES (gen_random_uuid(), 'h', 1, 1, '1', '{}')",
    )
    assert [waiting(each) for each in (high, first)] == [(1, "next"), (2, "own_queue")]

    cancelled = system.client.post(f"{high}/cancel")
    again = system.client.post(f"{high}/cancel")

    assert (cancelled.status_code, cancelled.json()) == (200, again.json())
    assert cancelled.json()["receipt"]["started_at"] is None
    assert waiting(first) == (1, "next")
