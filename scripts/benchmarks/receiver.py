"""Receive callbacks in the benchmark's own process, and check their signatures."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_HOST: Final = "127.0.0.1"
_HEAD_END: Final = b"\r\n\r\n"
_ANSWER: Final = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Receiver:
    """A server that accepts every callback; use `running_receiver`."""

    def __init__(self, port: int) -> None:
        """Take its port."""
        self.url = f"http://{_HOST}:{port}/"
        # For each execution the ids of its callbacks.
        self.ids: defaultdict[str, set[str]] = defaultdict(set)
        self.count = 0
        self.faults: Counter[str] = Counter()
        self.secret = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, if its client is not killed meanwhile."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(_HEAD_END)
            fields = (line.partition(":") for line in head.decode().split("\r\n")[1:-2])
            headers = {name.lower(): value.strip() for name, _, value in fields}
            self._record(headers, await reader.readexactly(int(headers["content-length"])))
            writer.write(_ANSWER)
        writer.close()

    def _record(self, headers: dict[str, str], body: bytes) -> None:
        self.count += 1
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.faults[f"signature: {error}"] += 1
        execution = msgspec.json.decode(body)["data"]["id"]
        self.ids[execution].add(headers["webhook-id"])


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """Listen within the block."""
    receiver: Receiver

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.answer(reader, writer)

    async with await asyncio.start_server(answer, _HOST, 0) as server:
        receiver = Receiver(server.sockets[0].getsockname()[1])
        yield receiver
