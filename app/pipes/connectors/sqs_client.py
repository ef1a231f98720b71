"""Open a queue of SQS, and say what is wrong with it."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from app.outages import Outages, reason_of
from app.pipes.connectors.model import ConnectorUnavailable
from app.settings import Settings

T = TypeVar("T")

# Messages of one request.
MAX_ENTRIES: Final = 10
_CONNECT_SECONDS: Final = 5
# Longer than the longest wait for messages.
_READ_SECONDS: Final = 30
_CONNECTIONS: Final = 16
_MAX_BATCH_BYTES: Final = 262_144
_THROTTLED_SECONDS: Final = 1.0

_OUTAGES: Final = Outages("SQS queue")
_THROTTLED: Final = frozenset(
    {
        "KmsThrottled",
        "OverLimit",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "KmsAccessDenied"})
_UNKNOWN_QUEUE: Final = frozenset({"NonExistentQueue", "QueueDoesNotExist", "QueueDeletedRecently"})
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# What is wrong with the messages of a request, and not with the queue.
_CONTENTS: Final = frozenset(
    {
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "MessageTooLong",
    }
)


class RefusedContents(Exception):
    """SQS refuses what a request holds; the message is its code."""


class SqsLink:
    """One queue, with errors that the pipe's owner understands."""

    def __init__(self, client: Any, queue: str) -> None:  # noqa: ANN401 - botocore makes its class at run time
        """Take an open client and the queue's name."""
        self._client = client
        self._url = ""
        self.queue = queue
        self.is_fifo = queue.endswith(".fifo")
        # Of one message, and of all messages of a request.
        self.max_bytes = self.max_batch_bytes = _MAX_BATCH_BYTES

    async def find(self) -> None:
        """Look the queue up. Raises ConnectorUnavailable."""
        found = await self._call("get_queue_url", QueueName=self.queue)
        self._url = found["QueueUrl"]
        attributes = await self.attributes("MaximumMessageSize")
        self.max_bytes = int(attributes.get("MaximumMessageSize", self.max_bytes))
        self.max_batch_bytes = max(self.max_bytes, _MAX_BATCH_BYTES)

    async def attributes(self, *names: str) -> Mapping[str, str]:
        """Return attributes of the queue. Raises ConnectorUnavailable."""
        reply = await self.call("get_queue_attributes", AttributeNames=list(names))
        attributes: Mapping[str, str] = reply.get("Attributes", {})
        return attributes

    async def call(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        """Call an operation on the queue. Raises ConnectorUnavailable, RefusedContents."""
        return await self._call(operation, QueueUrl=self._url, **parameters)

    async def call_for_all(
        self, operation: str, entries: Sequence[Mapping[str, object]]
    ) -> list[Mapping[str, Any]]:
        """Call an operation on entries with `Id`, up to MAX_ENTRIES; return those that failed.

        Raises ConnectorUnavailable, RefusedContents.
        """
        reply = await self.call(operation, Entries=list(entries))
        return list(reply.get("Failed", ()))

    async def _call(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        # Imported by name: optional, and without types.
        exceptions = import_module("botocore.exceptions")
        parsers = import_module("botocore.parsers")
        try:
            reply: Mapping[str, Any] = await getattr(self._client, operation)(**parameters)
        except exceptions.ClientError as error:
            raise self._error_of(error.response) from None
        except (exceptions.BotoCoreError, parsers.ResponseParserError, OSError) as error:
            _OUTAGES.failed(self.queue, reason_of(error))
            kind = type(error).__name__
            if kind in {"NoCredentialsError", "PartialCredentialsError"}:
                raise ConnectorUnavailable("the worker has no credentials for AWS") from None
            raise ConnectorUnavailable("SQS does not answer") from None
        _OUTAGES.worked(self.queue)
        return reply

    def _error_of(self, response: Mapping[str, Any]) -> Exception:
        # The text of AWS names the operator's account and user.
        code = str(response.get("Error", {}).get("Code", "")).rpartition(".")[2]
        if code in _CONTENTS:
            return RefusedContents(code)
        _OUTAGES.failed(self.queue, str(response.get("Error")))
        return unavailable(self.queue, code)


def unavailable(queue: str, code: str) -> ConnectorUnavailable:
    """Return what an error's code means for a pipe."""
    if code in _THROTTLED:
        return ConnectorUnavailable(
            f"SQS limits the rate of the queue {queue}", retry_after=_THROTTLED_SECONDS
        )
    if code in _UNKNOWN_QUEUE:
        return ConnectorUnavailable(f"there is no queue {queue} in SQS")
    if code in _DENIED:
        return ConnectorUnavailable(f"the worker's credentials do not allow the queue {queue}")
    if code in _CREDENTIALS:
        return ConnectorUnavailable("AWS refuses the worker's credentials")
    return ConnectorUnavailable(f"SQS fails at the queue {queue}: {code or 'no reason'}")


def in_requests(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Divide what goes into requests of up to MAX_ENTRIES."""
    for start in range(0, len(items), MAX_ENTRIES):
        yield items[start : start + MAX_ENTRIES]


def is_installed() -> bool:
    """Return whether requirements-sqs.lock is installed."""
    return find_spec("aiobotocore") is not None


@asynccontextmanager
async def open_sqs(settings: Settings, queue: str) -> AsyncIterator[SqsLink]:
    """Open a queue for the length of the block. Raises ConnectorUnavailable."""
    if not is_installed():
        raise ConnectorUnavailable(
            "this worker has no client of SQS: install requirements-sqs.lock"
        )
    # Imported here: optional, and slow to import.
    session = import_module("aiobotocore.session").get_session()
    config = import_module("aiobotocore.config").AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = settings.pipe_sqs_endpoint or None
    try:
        opening = session.create_client(
            "sqs", region_name=region, endpoint_url=endpoint, config=config
        )
        client = await opening.__aenter__()
    except Exception as error:
        if type(error).__name__ == "NoRegionError":
            raise ConnectorUnavailable("the worker has no AWS_REGION") from None
        raise
    try:
        link = SqsLink(client, queue)
        await link.find()
        yield link
    finally:
        await opening.__aexit__(None, None, None)
