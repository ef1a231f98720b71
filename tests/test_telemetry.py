"""Logs contain no secrets, neither in our own events nor in those of libraries and errors."""

import json
import subprocess
import sys
from typing import Final

import pytest

from app.keys.model import new_key
from app.telemetry import redact
from tests.support.servers import ROOT

KEY: Final = new_key()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        # With explicit ids: the key is random, and pytest-xdist needs equal ids in all processes.
        pytest.param(f"refused {KEY}", KEY[37:], id="key"),
        pytest.param(f"refused {KEY[:36]}_short", "short", id="short key"),
        (f"GET /events?token=evt_{'0' * 32}_{'1' * 32}_6a_signature", "signature"),
        ("postgresql://crivo:hunter2@database:5432/crivo", "hunter2"),
        ("postgresql://crivo:hunt%40er2@[::1]/crivo?sslmode=require", "hunt"),
        ("redis://:hunter2@redis:6379/0", "hunter2"),
        ("authorization: Bearer hunter2", "hunter2"),
        ("{'Authorization': 'Bearer hunter2'}", "hunter2"),
        ("(b'authorization', b'Bearer hunter2')", "hunter2"),
        ('{"authorization": "Basic aHVudGVyMg=="}', "aHVudGVyMg"),
        ("Authorization=hunter2", "hunter2"),
        ('\\"Authorization\\": \\"Bearer hunter2\\"', "hunter2"),
        ("secret_access_key=hunter2", "hunter2"),
        ('{"password": "hunter2"}', "hunter2"),
    ],
)
def test_a_secret_is_replaced(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"event": "key.refused", "key_id": "01900000-0000-7000-8000-000000000000"}',
        "http://127.0.0.1:8000/docs",
        "connection to 10.0.0.1:5432 refused",
        '{"request_id": "crivo:a@b"}',
        "unix:///run/redis.sock",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


def test_every_log_record_is_redacted() -> None:
    """Our own, a library's, an exception's text, and the row that PostgreSQL quotes."""
    program = f"""
import logging, structlog
from app.telemetry import configure_logging
configure_logging("info")
structlog.get_logger("ours").info("told", headers={{"authorization": "Bearer hunter2"}})
logging.getLogger("theirs").warning("connecting to %s", "postgresql://crivo:hunter2@database/x")
# Not in the line that raises: since Python 3.13 a traceback shows that line of such a program.
words = "the key {KEY} is wrong\\nDETAIL:  Failing row contains (payload-text)."
try:
    raise ValueError(words)
except ValueError:
    structlog.get_logger("ours").exception("failed", field="postgres://a:hunter2@b")
"""
    written = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    ).stderr

    assert len([json.loads(line) for line in written.splitlines()]) == 3
    assert "hunter2" not in written
    assert KEY[37:] not in written
    assert "payload-text" not in written
    assert "Traceback" in written
