"""Waits, streams and downloads go on while the service is restarted."""

from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import pytest

import crivo
from crivo import Crivo, Retry
from tests.support.faulty_server import FaultyServer, Lost

QUICK: Final = Retry(attempts=4, first_pause=0.001, max_pause=0.002)


@pytest.fixture
def client(faulty: FaultyServer) -> Iterator[Crivo]:
    with Crivo(faulty.url, retry=QUICK) as client:
        yield client


def test_waits_and_streams_go_on_through_a_restart(
    client: Crivo, faulty: FaultyServer, echo: str
) -> None:
    execution = client.run(echo, 1).execution
    away = [Lost()] * (QUICK.attempts * 3)
    for wait in (
        lambda: client.executions.wait(execution.id),
        lambda: list(client.executions.watch(execution.id))[-1],
        lambda: b"".join(client.executions.input_chunks(execution.id)),
    ):
        expected = wait()
        # The payloads and streams begin, and are cut.
        faulty.faults = [Lost(forwarded=True, after_bytes=0), *away]

        assert wait() == expected
        assert not faulty.faults


def test_a_wait_for_a_service_that_has_never_responded_ends_soon(faulty: FaultyServer) -> None:
    faulty.faults = [Lost()] * (QUICK.attempts + 1)

    with Crivo(faulty.url, retry=QUICK) as client, pytest.raises(crivo.Unreachable):
        client.executions.wait(str(uuid4()))

    assert len(faulty.faults) == 1


def test_a_wait_ends_at_its_timeout_while_the_service_is_away(
    client: Crivo, faulty: FaultyServer, echo: str
) -> None:
    execution = client.run(echo, 1).execution
    faulty.faults = [Lost()] * (QUICK.attempts + 1)

    with pytest.raises(crivo.Unreachable):
        client.executions.wait(execution.id, timeout=0)

    assert len(faulty.faults) == 1
