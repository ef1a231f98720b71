"""Handle a batch of SQS messages as AWS Lambda does, and report those that failed."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from event_validator import InvalidEvent, handler

from crivo.errors import CrivoError


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    """Return the messages that SQS shall keep; its redrive policy says for how long.

    The event source needs `ReportBatchItemFailures`. In a FIFO queue, what follows a message that
    failed is kept, too: else it would overtake.
    """
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        is_fifo = record.get("eventSourceARN", "").endswith(".fifo")
        if not (is_fifo and failed) and _is_handled(record):
            continue
        failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def _is_handled(record: dict[str, Any]) -> bool:
    try:
        handler(record["body"])
    except (InvalidEvent, CrivoError, BotoCoreError, ClientError) as error:
        print(f"{record['messageId']}: {type(error).__name__}: {error}")
        return False
    return True
