"""Every callback is delivered at least once, with one id, whichever process is killed meanwhile."""

import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from app.callbacks.delivery.claims import LEASE_SECONDS
from tests.callbacks.conftest import TO_LOOPBACK
from tests.support.launcher_process import LauncherProcess, eventually, free_port
from tests.support.receivers import Receiver
from tests.support.servers import execute

# Attempts under way, without an answer, as processes are killed.
HELD: Final = 6
CLIENTS: Final = 3
# The claims of killed processes end by themselves, within the lease of a second or third one.
LATER: Final = f"""
DO $$ BEGIN
    ASSERT NOT EXISTS (
        SELECT FROM callbacks WHERE lease_token IS NOT NULL
        AND next_attempt_at > now() + interval '{4 * LEASE_SECONDS} seconds'
    );
    UPDATE callbacks SET next_attempt_at = now() WHERE status = 'pending';
END $$
"""  # noqa: S608 - put together from constants


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[LauncherProcess]:
    """A system that is durable as shipped, and whose launcher restarts what dies."""
    with LauncherProcess(
        tmp_path / "data",
        free_port(),
        command=(sys.executable, "-m", "app.embedded"),
        environ={"CRIVO_LEASE_SECONDS": "2", "CRIVO_WORKER_SLOTS": "2", **TO_LOOPBACK},
    ) as running:
        running.wait_until_ready()
        yield running


def test_callbacks_survive_kills_of_worker_api_and_postgres(
    launched: LauncherProcess, receiver: Receiver
) -> None:
    with _submissions(launched.url, receiver) as accepted:
        eventually(lambda: sum("/held" in each for each in receiver.paths()) >= HELD)
        for victim in ("app.main", "app.worker", "postgres", "app.main"):
            enough = len(receiver.received) + 10
            launched.child(victim).kill()
            eventually(partial(_has_received, receiver, enough))
    receiver.release()
    database_url = launched.child("app.main").environ()["DATABASE_URL"]
    execute(database_url, LATER)

    with httpx.Client(base_url=launched.url, timeout=30, trust_env=False) as client:
        for execution in accepted:
            eventually(partial(_is_delivered, client, execution))

    ids: dict[str, set[str]] = defaultdict(set)
    for request in receiver.received:
        ids[request.path].add(request.headers["webhook-id"])
    assert {len(each) for each in ids.values()} == {1}
    assert len({UUID(each) for found in ids.values() for each in found}) == len(ids)
    # Those whose submission was not answered are delivered as well.
    assert len(ids) >= len(accepted) >= 40
    # Attempts of the processes that were killed were made again.
    assert sum("/held" in each for each in receiver.paths()) >= 2 * HELD


def _has_received(receiver: Receiver, enough: int) -> bool:
    return len(receiver.received) >= enough


@contextmanager
def _submissions(url: str, receiver: Receiver) -> Iterator[list[str]]:
    """Submit from several clients until the block ends; yield the ids of what was accepted."""
    accepted: list[str] = []
    numbers, stopping = count(1), threading.Event()
    answer = httpx.post(
        f"{url}/scripts", json={"name": "echo", "source": "const process = data => data"}
    )
    assert answer.status_code == 201, answer.text

    def submit() -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            while not stopping.wait(0.1):
                number = next(numbers)
                path = "held" if number <= HELD else "ok"
                callback_url = f"http://127.0.0.1:{receiver.port}/{path}?n={number}"
                with suppress(httpx.TransportError):
                    answer = client.post(
                        "/scripts/echo/executions",
                        content=b"%d" % number,
                        params={"callback_url": callback_url},
                    )
                    assert answer.status_code in (202, 503), answer.text
                    if answer.status_code == 202:
                        accepted.append(answer.json()["id"])

    clients = [threading.Thread(target=submit) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield accepted
    finally:
        stopping.set()
        for client in clients:
            client.join()


def _is_delivered(client: httpx.Client, execution: str) -> bool:
    with suppress(httpx.TransportError):
        answer = client.get(f"/executions/{execution}/callbacks")
        items: list[dict[str, Any]] = answer.json().get("items", [])
        return [each["status"] for each in items] == ["delivered"]
    return False
