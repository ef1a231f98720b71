"""Validate each event with Crivo, and forward the valid ones, unchanged, to a queue of SQS."""

import json
import os
from functools import cache
from typing import Any

import boto3

from crivo import Crivo
from crivo.models import SchemaError

SCHEMA = os.environ.get("EVENT_SCHEMA", "customer-events")
QUEUE = os.environ.get("EVENT_QUEUE", "valid-events-queue")


class InvalidEvent(ValueError):
    """An event that the schema refuses; `errors` have the pointer of each value."""

    def __init__(self, errors: list[SchemaError]) -> None:
        """Show the first errors in the message."""
        super().__init__("; ".join(f"{each.pointer or '/'}: {each.message}" for each in errors[:5]))
        self.errors = errors


def handler(event: dict[str, Any] | str | bytes) -> None:
    """Validate an event and send it to the queue. Called for each new event.

    The text of an event is sent as it is; a dict is written as JSON once, and that text is what is
    validated and sent. Raises InvalidEvent.
    """
    if isinstance(event, dict):
        event = json.dumps(event, ensure_ascii=False)
    text = event.encode() if isinstance(event, str) else event
    verdict = client().schemas.validate(SCHEMA, text)
    if not verdict.valid:
        raise InvalidEvent(verdict.errors)
    send_event_to_queue(text.decode(), QUEUE)


def send_event_to_queue(event: str, queue_name: str) -> None:
    """Send an event to a queue, and print the status code of the response."""
    url = queues().get_queue_url(QueueName=queue_name)["QueueUrl"]
    response = queues().send_message(QueueUrl=url, MessageBody=event)
    print(f"Response status code: [{response['ResponseMetadata']['HTTPStatusCode']}]")


@cache
def client() -> Crivo:
    """Return the client of Crivo, which has the schema."""
    return Crivo(os.environ.get("CRIVO_URL", "http://127.0.0.1:8000"), os.environ.get("CRIVO_KEY"))


@cache
def queues() -> Any:  # noqa: ANN401 - boto3 makes the class at run time
    """Return the client of SQS: AWS, or another one at SQS_ENDPOINT."""
    return boto3.client("sqs", endpoint_url=os.environ.get("SQS_ENDPOINT") or None)
