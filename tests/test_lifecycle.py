"""A process exits with status 0 on a signal, and is ended by its watchdog when it hangs."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final

import asyncpg
import pytest

from app.lifecycle import EXIT_HUNG
from tests.support.servers import ROOT
from tests.support.system import System, free_port, until

_HANGS: Final = """
import asyncio, sys, time
from app.lifecycle import open_watchdog
async def main():
    with open_watchdog(0.5) as watchdog:
        for _ in range(40):
            watchdog.beat("loop")
            await asyncio.sleep(0.05)
        watchdog.dismiss("loop") if sys.argv[1] == "dismissed" else None
        time.sleep(3)
        print("went on")
asyncio.run(main())
"""
# The API with an event loop that is blocked from one second after it listens.
_BLOCKED_API: Final = """
import asyncio, sys, time
from app import main
def block(*_):
    asyncio.get_running_loop().call_later(1, time.sleep, 600)
main._log_access = block
sys.exit(main.main([]))
"""


@pytest.mark.parametrize(("how", "code"), [("expected", EXIT_HUNG), ("dismissed", 0)])
def test_a_hanging_process_ends_and_writes_where_it_hangs(how: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HANGS, how],
        check=False,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )

    assert done.returncode == code, done.stderr
    assert done.stdout == ("" if code else "went on\n")
    if code:
        event, *where = done.stderr.splitlines()
        assert json.loads(event)["event"] == "process.hung"
        assert json.loads(event)["duty"] == "loop"
        assert any("line" in each and "in main" in each for each in where)


async def test_a_hanging_api_and_a_hanging_worker_end(stopped_system: System) -> None:
    stopped_system.environ["CRIVO_HANG_SECONDS"] = "20"
    stopped_system.start_api()
    await asyncio.to_thread(stopped_system.await_api)
    api = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _BLOCKED_API),
        cwd=ROOT,
        env={**stopped_system.environ, "CRIVO_PORT": str(free_port())},
        stderr=asyncio.subprocess.DEVNULL,
    )
    connection = await asyncpg.connect(stopped_system.environ["DATABASE_URL"])
    worker = stopped_system.start_worker()
    await asyncio.to_thread(stopped_system.await_ready)
    try:
        # The heartbeat neither succeeds nor fails.
        async with asyncio.timeout(120), connection.transaction():
            await connection.execute("LOCK TABLE workers IN ACCESS EXCLUSIVE MODE")
            end_of_worker = await asyncio.to_thread(worker.wait, 90)
            end_of_api = await api.wait()
    finally:
        await connection.close()
        with suppress(ProcessLookupError):
            api.kill()

    assert (end_of_api, end_of_worker) == (EXIT_HUNG, EXIT_HUNG)
    assert '"duty": "renew"' in stopped_system.logs_of_process("app.worker")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_api_and_worker_exit_with_0_on_a_signal(
    stopped_system: System, number: signal.Signals
) -> None:
    system = stopped_system.start()
    assert system.api is not None

    for process in (system.api, system.workers[0]):
        process.send_signal(number)
        assert process.wait(60) == 0


def test_api_and_worker_exit_with_0_on_a_signal_during_their_start(stopped_system: System) -> None:
    for module in ("app.main", "app.worker"):
        process = stopped_system.spawn(module, CRIVO_LOG_LEVEL="debug")
        for _ in until("it has begun to start"):
            if "sandbox.opened" in stopped_system.logs_of_process(module):
                break
        process.terminate()
        assert process.wait(60) == 0
