"""Secrets that sign callbacks are removed from log lines."""

from app.callbacks.model import secret_text
from app.telemetry import redact


def test_a_secret_is_redacted() -> None:
    secret = secret_text(bytes(range(32)))

    assert secret.startswith("whsec_")
    assert redact(f"signed by {secret}, and more") == "signed by whsec_***, and more"
