"""A stand-in for SQS: moto's server in a process of its own, which keeps everything in memory."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, Final

import httpx
from msgspec import Struct

from tests.support.system import until

# Without it, httpx reads all certificates for every request.
_NO_CERTIFICATES: Final = SSLContext(PROTOCOL_TLS_CLIENT)
_REGION: Final = "us-east-1"


class Sqs(Struct, frozen=True, kw_only=True):
    """The address of the stand-in, which is called without a library of AWS."""

    url: str

    @property
    def environ(self) -> Mapping[str, str]:
        """What a worker needs beside the URL, as for AWS."""
        return {
            "AWS_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create(self, queue: str, **attributes: str) -> None:
        """Create a queue."""
        if queue.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        self.call("CreateQueue", QueueName=queue, Attributes=attributes)

    def send(self, queue: str, bodies: list[str], **members: str) -> None:
        """Send messages with further members; to a FIFO queue, each text once."""
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(place), "MessageBody": body, **members}
                | ({"MessageDeduplicationId": _digest(body)} if ".fifo" in queue else {})
                for place, body in enumerate(bodies[start : start + 10])
            ]
            reply = self.call("SendMessageBatch", QueueUrl=self._url(queue), Entries=entries)
            assert not reply.get("Failed"), reply

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Receive and delete all messages that are visible."""
        taken: list[dict[str, Any]] = []
        while True:
            reply = self.call(
                "ReceiveMessage",
                QueueUrl=self._url(queue),
                MaxNumberOfMessages=10,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = reply.get("Messages", [])
            if not messages:
                return taken
            taken += messages
            for each in messages:
                handle = each["ReceiptHandle"]
                self.call("DeleteMessage", QueueUrl=self._url(queue), ReceiptHandle=handle)

    def count(self, queue: str) -> tuple[int, int]:
        """Return how many messages are visible, and how many are not."""
        reply = self.call("GetQueueAttributes", QueueUrl=self._url(queue), AttributeNames=["All"])[
            "Attributes"
        ]
        visible, not_visible = (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        )
        return int(reply[visible]), int(reply[not_visible])

    def call(self, action: str, **parameters: object) -> dict[str, Any]:
        """Call an operation of the API."""
        answer = httpx.post(
            self.url,
            content=json.dumps(parameters),
            headers={
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"AmazonSQS.{action}",
                "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{_REGION}/sqs/x",
            },
            trust_env=False,
            verify=_NO_CERTIFICATES,
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def _url(self, queue: str) -> str:
        return f"{self.url}/123456789012/{queue}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@contextmanager
def run_stand_in_sqs() -> Iterator[Sqs]:
    """Run the stand-in on loopback for the length of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        sqs = Sqs(url=f"http://127.0.0.1:{port}")
        _wait_for(process, sqs)
        yield sqs
    finally:
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], sqs: Sqs) -> None:
    for _ in until("moto's server answers"):
        assert process.poll() is None, "moto's server has ended"
        with suppress(httpx.TransportError):
            httpx.get(f"{sqs.url}/moto-api/", trust_env=False, verify=_NO_CERTIFICATES)
            return
