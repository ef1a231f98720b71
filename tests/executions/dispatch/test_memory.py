"""Workers claim only memory limits that they can enforce, and large ones do not stall them."""

from typing import Any, Final

import pytest

from app.db import Pool
from app.executions.model import Claim
from app.sandbox.pool import Room
from tests.support.queues import Queues
from tests.support.system import System, until

MIB: Final = 2**20
OVERHEAD: Final = 10
LARGE: Final = 200 * MIB
SMALL: Final = 20 * MIB
# Backdates the test's executions: those queued for over a second may wait for memory.
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


async def test_an_execution_that_does_not_fit_is_left_to_other_workers(queues: Queues) -> None:
    tenant = await queues.tenant()
    [large] = await queues.accept(tenant, memory_bytes=LARGE)
    await queues.accept(tenant, memory_bytes=SMALL)

    assert _sizes(await queues.claim(2, room=room(LARGE))) == [SMALL]
    assert await queues.status(large) == "queued"
    assert _sizes(await queues.claim(2, room=room(LARGE + OVERHEAD))) == [LARGE]


async def test_executions_claimed_together_fit_together(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 5, memory_bytes=SMALL)

    assert len(await queues.claim(5, room=room(3 * (SMALL + OVERHEAD)))) == 3
    assert len(await queues.claim(5, room=None)) == 2


async def test_one_execution_that_no_worker_had_memory_for_is_claimed_to_wait(
    queues: Queues,
) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, 2, memory_bytes=LARGE)
    await queues.accept(tenant, memory_bytes=SMALL)
    await queues.pool.execute(_AGE)

    # One only, and nothing after it: the rest might not fit beside it.
    assert _sizes(await queues.claim(3, room=room(SMALL + OVERHEAD))) == [LARGE]
    # While it waits no other large one is claimed; small ones that fit are.
    assert _sizes(await queues.claim(3, room=room(SMALL + OVERHEAD, may_wait=False))) == [SMALL]
    assert await queues.claim(3, room=room(SMALL, may_wait=False)) == []


async def test_an_execution_too_large_for_the_worker_is_never_claimed(queues: Queues) -> None:
    tenant = await queues.tenant()
    await queues.accept(tenant, memory_bytes=LARGE)
    await queues.pool.execute(_AGE)

    assert await queues.claim(1, room=room(SMALL, largest_bytes=LARGE)) == []
    assert len(await queues.claim(1, room=room(SMALL, largest_bytes=LARGE + OVERHEAD))) == 1


async def test_a_small_execution_does_not_queue_behind_another_tenants_large_ones(
    queues: Queues,
) -> None:
    heavy, light = await queues.tenant(), await queues.tenant()
    await queues.accept(heavy, 20, memory_bytes=LARGE)
    [small] = await queues.accept(light, memory_bytes=SMALL)

    claimed = await queues.claim(2, room=room(SMALL + OVERHEAD, may_wait=False))

    assert [each.id for each in claimed] == [small]


def test_two_large_executions_do_not_stall_a_worker(stopped_system: System) -> None:
    # A limit of 1 GiB can take 1.4 GiB before the kill, the small one 0.2 GiB.
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(2_048 * MIB)
    system = stopped_system.start()
    system.upload("loop", "const process = data => { for (;;); return data }")
    system.upload("echo", "const process = data => data")
    runs = system.submit("loop", b"1", memory_bytes=1_024 * MIB, wall_ms=120_000)
    for _ in until("a large one runs"):
        if _show(system, runs)["status"] == "running":
            break
    waits = system.submit("echo", b"1", memory_bytes=1_024 * MIB)
    for _ in until("a second one is claimed to wait for memory"):
        if _show(system, waits)["status"] == "running":
            break

    for _ in range(5):
        assert system.run("echo", b"1", memory_bytes=64 * MIB)["status"] == "succeeded"
    assert [_show(system, each)["status"] for each in (runs, waits)] == ["running"] * 2
    assert system.client.post(f"{runs}/cancel").status_code == 200
    assert system.finished(waits)["status"] == "succeeded"


def test_a_limit_that_no_living_worker_can_keep_is_refused(stopped_system: System) -> None:
    # The highest limit is (1,024 - 112) / 1.3 MiB.
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(1_024 * MIB)
    system = stopped_system.start()
    system.upload("echo", "const process = data => data")
    max_bytes = system.client.get("/health/ready").json()["workers"][0]["max_memory_bytes"]

    refused = system.client.post(
        f"/scripts/echo/executions?memory_bytes={max_bytes + 1}", content=b"1"
    )
    listed = system.client.get("/executions").json()["items"]
    ran = system.run("echo", b"1", memory_bytes=max_bytes)

    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:crivo:problem:no-worker-large-enough"
    assert str(max_bytes) in refused.json()["detail"]
    assert listed == []
    assert ran["status"] == "succeeded"
    assert ran["receipt"]["limits"]["memory_bytes"] == max_bytes


def test_the_default_limit_is_lowered_to_what_workers_can_keep(stopped_system: System) -> None:
    stopped_system.environ["CRIVO_SANDBOX_MEMORY_BYTES"] = str(400 * MIB)
    system = stopped_system.start()
    system.upload("echo", "const process = data => data")
    max_bytes = system.client.get("/health/ready").json()["workers"][0]["max_memory_bytes"]

    ran = system.run("echo", b"1")

    assert ran["status"] == "succeeded"
    assert max_bytes < 512 * MIB
    assert ran["receipt"]["limits"]["memory_bytes"] == max_bytes


def test_an_execution_that_waits_for_a_larger_worker_says_so_and_runs_on_it(
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
    shown: dict[str, Any] = system.client.get(location).json()
    return shown
