"""A durable Redis of a test's own, which can be killed and started again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from redis import Redis

from app.embedded.processes import await_ready, kill_group, spawn, stop
from app.embedded.servers import prepare_redis

# redis-py types one signature for its blocking and its asynchronous client.
Client: TypeAlias = Any

_MAX_SECONDS: Final = 20


class RedisServer:
    """The embedded server, as the launcher starts it."""

    def __init__(self, folder: Path) -> None:
        """Start it with its data in a folder."""
        folder.mkdir(exist_ok=True)
        self.service, self.url = prepare_redis(folder)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = spawn(self.service)
        await_ready([(self.service, self.process)])

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        kill_group(self.process)
        self.process.wait(_MAX_SECONDS)

    def stop(self) -> None:
        """Stop it, whatever its state."""
        if self.process.poll() is None:
            stop([(self.service, self.process)])

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Open a client."""
        client = Redis.from_url(self.url)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def run_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a server for the length of the block."""
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.stop()
