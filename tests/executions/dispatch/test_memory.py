"""No worker takes on a memory limit that it cannot keep, and none is stalled by large ones."""

from typing import Any, Final

import pytest

from app.db import Pool
from app.executions.model import Claim
from app.sandbox.pool import Room
from tests.acceptance.system import System, until
from tests.executions.queues import Queues

MIB: Final = 2**20
OVERHEAD: Final = 10
LARGE: Final = 200 * MIB
SMALL: Final = 20 * MIB
# Executions of the test's own: what was queued more than a second ago.
_AGE: Final = "UPDATE queue SET queued_at = queued_at - interval '2 seconds'"


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


def room(now_bytes: int, *, largest_bytes: int = 2**40, may_wait: bool = True) -> Room:
    return Room(
        now_bytes=now_bytes,
        largest_bytes=largest_bytes,
        overhead_bytes=OVERHEAD,
        may_wait=may_wait,
    )


def _sizes(claimed: list[Claim]) -> list[int]:
    return [each.limits.memory_bytes for each in claimed]


async def test_what_has_no_room_is_passed_over_and_left_for_others(queues: Queues) -> None:
    tenant = await queues.tenant()
    [large] = await queues.accept(tenant, memory_bytes=LARGE)
    await queues.accept(tenant, memory_bytes=SMALL)

    assert _sizes(await queues.claim(2, room=room(LARGE))) == [SMALL]
    assert await queues.status(large) == "queued"
    assert _sizes(await queues.claim(2, room=room(LARGE + OVERHEAD))) == [LARGE]


async def test_what_is_claimed_together_fits_together(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 5, memory_bytes=SMALL)

    assert len(await queues.claim(5, room=room(3 * (SMALL + OVERHEAD)))) == 3
    assert len(await queues.claim(5, room=None)) == 2


async def test_what_nobody_had_room_for_is_taken_to_wait_for_it(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 2, memory_bytes=LARGE)
    await queues.accept(tenant, memory_bytes=SMALL)
    await queues.pool.execute(_AGE)

    # One of them; nothing that comes after it, for which there may be no room beside it.
    assert _sizes(await queues.claim(3, room=room(SMALL + OVERHEAD))) == [LARGE]
    # While it waits, no other: what fits goes on.
    assert _sizes(await queues.claim(3, room=room(SMALL + OVERHEAD, may_wait=False))) == [SMALL]
    assert await queues.claim(3, room=room(SMALL, may_wait=False)) == []


async def test_what_a_worker_can_never_hold_it_never_takes(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, memory_bytes=LARGE)
    await queues.pool.execute(_AGE)

    assert await queues.claim(1, room=room(SMALL, largest_bytes=LARGE)) == []
    assert len(await queues.claim(1, room=room(SMALL, largest_bytes=LARGE + OVERHEAD))) == 1


async def test_another_tenants_small_one_is_not_behind_large_ones(queues: Queues) -> None:
    heavy, light = await queues.tenant(), await queues.tenant()
    await queues.accept(heavy, 20, memory_bytes=LARGE)
    [small] = await queues.accept(light, memory_bytes=SMALL)

    claimed = await queues.claim(2, room=room(SMALL + OVERHEAD, may_wait=False))

    assert [each.id for each in claimed] == [small]


def test_two_large_ones_do_not_stall_a_worker(stopped_system: System) -> None:
    # One of 1 GiB may take 1.4 GiB before it is killed, the small one 0.2.
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(2_048 * MIB)
    system = stopped_system.start()
    system.upload("loop", "const process = data => { for (;;); return data }")
    system.upload("echo", "const process = data => data")
    runs = system.submit("loop", b"1", memory_bytes=1_024 * MIB, wall_ms=120_000)
    for _ in until("a large one runs"):
        if _show(system, runs)["status"] == "running":
            break
    waits = system.submit("echo", b"1", memory_bytes=1_024 * MIB)
    for _ in until("a second one is taken to wait for its room"):
        if _show(system, waits)["status"] == "running":
            break

    for _ in range(5):
        assert system.run("echo", b"1", memory_bytes=64 * MIB)["status"] == "succeeded"
    assert [_show(system, each)["status"] for each in (runs, waits)] == ["running"] * 2
    assert system.client.post(f"{runs}/cancel").status_code == 200
    assert system.finished(waits)["status"] == "succeeded"


def test_what_no_living_worker_can_keep_is_refused(stopped_system: System) -> None:
    # Of it (1,024 - 112) / 1.3 are the highest limit.
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(1_024 * MIB)
    system = stopped_system.start()
    system.upload("echo", "const process = data => data")
    most = system.client.get("/health/ready").json()["workers"][0]["max_memory_bytes"]

    refused = system.client.post(f"/scripts/echo/executions?memory_bytes={most + 1}", content=b"1")
    listed = system.client.get("/executions").json()["items"]
    ran = system.run("echo", b"1", memory_bytes=most)

    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:crivo:problem:no-worker-large-enough"
    assert str(most) in refused.json()["detail"]
    assert listed == []
    assert ran["status"] == "succeeded"
    assert ran["receipt"]["limits"]["memory_bytes"] == most


def test_a_limit_that_nobody_chose_is_what_workers_can_keep(stopped_system: System) -> None:
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(400 * MIB)
    system = stopped_system.start()
    system.upload("echo", "const process = data => data")
    most = system.client.get("/health/ready").json()["workers"][0]["max_memory_bytes"]

    ran = system.run("echo", b"1")

    assert ran["status"] == "succeeded"
    assert most < 512 * MIB
    assert ran["receipt"]["limits"]["memory_bytes"] == most


def test_what_waits_for_a_larger_worker_says_so_and_runs_when_one_comes(
    stopped_system: System,
) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("echo", "const process = data => data")
    waits = system.submit("echo", b"1", memory_bytes=1_024 * MIB)
    system.start_worker(CRIVO_SANDBOX_MEMORY_BYTES=str(1_024 * MIB))
    system.await_ready()

    waiting = _show(system, waits)
    small = system.run("echo", b"1", memory_bytes=64 * MIB)
    system.start_worker(CRIVO_SANDBOX_MEMORY_BYTES=str(2_048 * MIB))

    assert waiting["waiting"]["reason"] == "too_large"
    assert small["status"] == "succeeded"
    assert system.finished(waits)["status"] == "succeeded"


def _show(system: System, location: str) -> dict[str, Any]:
    found: dict[str, Any] = system.client.get(location).json()
    return found
