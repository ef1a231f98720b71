"""The guide's functions accept a callback that the service has sent, and nothing else."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from app.callbacks.delivery.signatures import signed_headers
from app.callbacks.model import secret_text
from tests.conventions.documents import blocks
from tests.support.servers import ROOT

SECRETS: Final = [bytes(range(32)), bytes(range(32, 64))]
BODY: Final = '{"type":"execution.succeeded","ü":1}'.encode()
ID: Final = "5b0d2f4e-7c1a-4d3e-9f60-8a2b1c4d5e6f"

Verify = Callable[[str, dict[str, str], bytes], bool]


def _block(language: str) -> str:
    [text] = [
        each.text
        for each in blocks(ROOT / "docs" / "api.md")
        if each.language == language and "webhook-signature" in each.text
    ]
    return text


def _in_python(_: Path) -> Verify:
    names: dict[str, Any] = {}
    exec(_block("python"), names)  # noqa: S102 - the guide's own text
    verify: Verify = names["verify"]
    return verify


def _in_javascript(folder: Path) -> Verify:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not on PATH: the guide's JavaScript is not run")
    caller = """
    const [secret, headers, body] = JSON.parse(process.argv[1]);
    process.stdout.write(String(verify(secret, headers, Buffer.from(body, "base64"))));
    """
    module = folder / "verify.mjs"
    module.write_text(_block("js").replace("export ", "") + caller.replace("argv[1]", "argv[2]"))

    def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
        arguments = json.dumps([secret, headers, base64.b64encode(body).decode()])
        done = subprocess.run([node, module, arguments], check=True, capture_output=True, text=True)
        return done.stdout == "true"

    return verify


def _headers(now: datetime) -> dict[str, str]:
    headers = signed_headers(ID, BODY, secrets=SECRETS, now=now)
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("language", [_in_python, _in_javascript])
def test_the_guide_verifies_what_the_service_signs(
    language: Callable[[Path], Verify], tmp_path: Path
) -> None:
    verify = language(tmp_path)
    now = datetime.now(UTC)
    headers = _headers(now)

    for secret in SECRETS:
        assert verify(secret_text(secret), headers, BODY)
    assert not verify(secret_text(bytes(32)), headers, BODY)
    assert not verify(secret_text(SECRETS[0]), headers, BODY + b" ")
    assert not verify(secret_text(SECRETS[0]), {**headers, "webhook-id": "other"}, BODY)
    assert not verify(
        secret_text(SECRETS[0]), {**headers, "webhook-signature": "v1,AAAA v2,"}, BODY
    )
    old = _headers(now - timedelta(minutes=10))
    assert not verify(secret_text(SECRETS[0]), old, BODY)


def test_the_signature_is_that_of_the_specification() -> None:
    # The example that implementations of Standard Webhooks share.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    now = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", body, secrets=[secret], now=now)

    assert headers["Webhook-Timestamp"] == "1614265330"
    assert headers["Webhook-Signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
