"""The tests start their own servers, by whichever means this machine has."""

from contextlib import ExitStack

import asyncpg
import pytest

from tests.support import servers


async def test_without_images_the_embedded_servers_take_their_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_image(_: ExitStack) -> str:
        raise RuntimeError("no such image")

    for variable in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    # Simulates a container engine that reaches no registry: not every machine has an engine.
    monkeypatch.setattr(servers, "_docker_answers", lambda: True)
    monkeypatch.setattr(servers, "_postgres_container", no_image)
    with ExitStack() as stack:
        database_url, redis_url = servers._urls(stack)
        connection = await asyncpg.connect(database_url)
        await connection.close()

    assert redis_url.startswith("unix:")
    assert "the embedded servers take their place: no such image" in capsys.readouterr().err
