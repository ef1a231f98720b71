"""Systems whose executions stay queued until a test starts a worker."""

from typing import Final

from tests.support.system import System

IDENTITY: Final = "const process = data => data"
BUSY: Final = "function process(d) { let x = 0; for (let i = 0; i < 4e8; i++) x += i; return d }"


def start_idle(system: System) -> System:
    """Start an API and no worker, and upload the scripts `same` and `busy`."""
    system.start_api()
    system.await_api()
    system.upload("same", IDENTITY)
    system.upload("busy", BUSY)
    return system
