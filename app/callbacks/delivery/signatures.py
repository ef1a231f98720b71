"""Sign the requests of callbacks, in the form of Standard Webhooks."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

from app.version import VERSION


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
