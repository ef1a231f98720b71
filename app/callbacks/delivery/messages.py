"""Write and sign the requests of callbacks, in the form of Standard Webhooks."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from standardwebhooks import Webhook

from app.callbacks.model import EndedExecution, Message
from app.executions.model import Execution
from app.version import VERSION


def write_message(execution: Execution) -> bytes:
    """Write the body of a callback, which is the same at every attempt."""
    assert execution.finished_at is not None  # noqa: S101 - it has ended
    assert not isinstance(execution.receipt, msgspec.UnsetType)  # noqa: S101 - the same
    message = Message(
        type=f"execution.{execution.status}",
        timestamp=execution.finished_at,
        data=EndedExecution(
            id=execution.id,
            status=execution.status,
            url=f"/executions/{execution.id}",
            receipt=execution.receipt,
        ),
    )
    return msgspec.json.encode(message)


def signed_headers(
    message_id: str, body: bytes, *, secrets: Sequence[bytes], now: datetime
) -> dict[str, str]:
    """Return the headers of an attempt, with a signature by each secret."""
    text = body.decode()
    signatures = [
        Webhook(secret).sign(msg_id=message_id, timestamp=now, data=text) for secret in secrets
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"crivo/{VERSION}",
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": " ".join(signatures),
    }
