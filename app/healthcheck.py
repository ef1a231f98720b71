"""Check the health of a container's process: `python -m app.healthcheck api | worker`.

`python -m app.healthcheck access` prints how the API authenticates requests: `open` or `keys`.
"""

import asyncio
import http.client
import json
import socket
import sys
from collections.abc import Callable
from typing import Final

from app.environment import load_settings
from app.errors import CrivoError
from app.limits import WORKER_TIMEOUT_SECONDS
from app.settings import Settings

_API_SECONDS: Final = 3.0
_DATABASE_SECONDS: Final = 5.0


def main(arguments: list[str]) -> int:
    """Return 0 when healthy, 1 when not, 2 when the check cannot run."""
    if arguments == ["access"]:
        access = _read_access(load_settings())
        sys.stdout.write(f"{access}\n")
        return 0 if access else 1
    check = _CHECKS.get(" ".join(arguments))
    if check is None:
        sys.stderr.write(f"usage: python -m app.healthcheck {' | '.join(_CHECKS)} | access\n")
        return 2
    try:
        problem = check(load_settings())
    except CrivoError as error:
        sys.stderr.write(f"healthcheck: {error}\n")
        return 2
    sys.stdout.write(f"{problem or 'healthy'}\n")
    return 1 if problem else 0


def _check_api(settings: Settings) -> str:
    """Return what is wrong with the API of this container; "" when it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=_API_SECONDS)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"the API does not answer: {error}"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"the API answers {status}"


def _read_access(settings: Settings) -> str:
    """Return `open` or `keys`; "" when the API does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=_API_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        return str(json.loads(connection.getresponse().read())["access"])
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return ""
    finally:
        connection.close()


def _check_worker(settings: Settings) -> str:
    """Return what is wrong with the worker of this host name; "" while it renews its heartbeat."""
    return asyncio.run(_check_heartbeat(settings))


async def _check_heartbeat(settings: Settings) -> str:
    # Imported here: without these imports the API's check takes half the time.
    from app.db import open_pool  # noqa: PLC0415
    from app.outages import DatabaseUnavailable  # noqa: PLC0415
    from app.workers.store import select_workers  # noqa: PLC0415

    try:
        async with (
            asyncio.timeout(_DATABASE_SECONDS),
            open_pool(settings) as pool,
            pool.acquire() as conn,
        ):
            alive = await select_workers(conn, seen_within_seconds=WORKER_TIMEOUT_SECONDS)
    except DatabaseUnavailable as error:
        return str(error)
    except TimeoutError:
        return f"PostgreSQL does not answer within {_DATABASE_SECONDS:.0f} s"
    if any(worker.host == socket.gethostname() for worker in alive):
        return ""
    return f"PostgreSQL has not seen this worker for {WORKER_TIMEOUT_SECONDS:.0f} s"


_CHECKS: Final[dict[str, Callable[[Settings], str]]] = {
    "api": _check_api,
    "worker": _check_worker,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
