"""A token opens the events of one execution, and loses its validity with its key."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Page

from app.auth.callers import RECENT_SECONDS
from app.auth.event_tokens import NO_KEY_ID, NO_SECRET, VALID_SECONDS, parse_token, sign_token
from app.auth.model import Scope
from app.keys.model import parse_key
from tests.docs.test_docs_in_a_browser import browser, page
from tests.support.system import System, until
from tests.support.system_with_keys import CreatedTestKey, SystemWithKeys

__all__ = ["browser", "page"]

IDENTITY: Final = "const process = data => data"
LONG: Final = "function process(d) { for (let i = 0, x = 0; i < 1e9; i++) x += i; return d }"


def test_a_token_opens_the_events_of_its_execution_and_nothing_else(keyed: SystemWithKeys) -> None:
    key = _tenant(keyed, "tokens-one")
    mine, other = _finished(keyed, key), _finished(keyed, key)

    made = keyed.post(f"{mine}/events-token", key.key)
    token = made.json()["token"]
    expires = datetime.fromisoformat(made.json()["expires_at"])

    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert timedelta(0) < expires - datetime.now(UTC) <= timedelta(seconds=VALID_SECONDS)
    assert _events(keyed, mine, token).text.count("event: status") == 1
    _is_refused(_events(keyed, other, token))
    for path in (mine, f"{mine}/result", f"{mine}/logs", "/scripts", f"{mine}/events-token"):
        assert keyed.get(f"{path}?token={token}", "").status_code in {401, 404, 405}
        assert keyed.get(path, token).status_code in {401, 404, 405}


def test_a_forged_or_expired_token_is_refused(keyed: SystemWithKeys) -> None:
    key = _tenant(keyed, "tokens-forged")
    mine = _finished(keyed, key)
    token = keyed.post(f"{mine}/events-token", key.key).json()["token"]
    parsed = parse_key(key.key)
    assert parsed is not None
    execution = UUID(mine.rpartition("/")[2])

    def signed(*, secret: bytes, seconds: float = 0, key_id: UUID = key.id) -> str:
        now = datetime.now(UTC) + timedelta(seconds=seconds)
        return sign_token(execution, key_id=key_id, secret_sha256=secret, now=now).token

    assert _events(keyed, mine, signed(secret=parsed.secret_sha256)).status_code == 200
    for wrong in (
        "",
        "nonsense",
        f"{token}x",
        f"{token[:-2]}xx",
        signed(secret=bytes(32)),
        signed(secret=NO_SECRET, key_id=NO_KEY_ID),
        signed(secret=parsed.secret_sha256, seconds=-VALID_SECONDS - 1),
        f"evt_{execution.hex}_{key.id.hex}_ffffffffffff_{token[-43:]}",
    ):
        _is_refused(_events(keyed, mine, wrong))


def test_a_token_is_refused_once_its_key_is_revoked(keyed: SystemWithKeys) -> None:
    key = _tenant(keyed, "tokens-revoked")
    mine = _finished(keyed, key)
    token = keyed.post(f"{mine}/events-token", key.key).json()["token"]
    assert _events(keyed, mine, token).status_code == 200

    assert keyed.request("DELETE", f"/keys/{key.id}").status_code == 200
    for _ in until("the token is refused"):
        answer = _events(keyed, mine, token)
        if answer.status_code != 200:
            return _is_refused(answer)
    raise AssertionError


def test_a_stream_ends_when_the_key_of_its_token_is_revoked(keyed: SystemWithKeys) -> None:
    writer, reader = _tenant(keyed, "tokens-stream"), keyed.key("tokens-stream")
    keyed.post("/scripts", writer.key, json={"name": "long", "source": LONG})
    path = "/scripts/long/executions"
    # The last one stays queued until the others have finished.
    made = [keyed.post(path, writer.key, content=b"1").headers["Location"] for _ in range(6)]
    token = keyed.post(f"{made[-1]}/events-token", reader.key).json()["token"]

    with keyed.system.client.stream("GET", f"{made[-1]}/events?token={token}") as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("data: "))
        assert keyed.request("DELETE", f"/keys/{reader.id}").status_code == 200
        _until_refused(keyed, made[-1], token)
        keyed.post(f"{made[-1]}/cancel", writer.key)

        # What happened before was told, as when others made room in the queue.
        told = [line for line in lines if line.startswith("data: ")]
    assert not any('"status":"cancelled"' in line for line in told)
    for each in made:
        keyed.post(f"{each}/cancel", writer.key)


def test_a_token_needs_the_scope_read_and_an_execution_of_the_tenant(keyed: SystemWithKeys) -> None:
    key = _tenant(keyed, "tokens-mine")
    mine = _finished(keyed, key)
    submits = keyed.key("tokens-mine", [Scope.WRITE_EXECUTIONS])
    stranger = _tenant(keyed, "tokens-stranger")

    assert keyed.post(f"{mine}/events-token", submits.key).status_code == 403
    assert keyed.post(f"{mine}/events-token", stranger.key).status_code == 404


def test_an_open_api_creates_tokens_without_a_key(system: System) -> None:
    system.upload("tokens-open", IDENTITY)
    location = system.submit("tokens-open", b"1")
    system.finished(location)

    token = system.client.post(f"{location}/events-token").json()["token"]

    assert parse_token(token).key_id == NO_KEY_ID
    answer = system.client.get(f"{location}/events", params={"token": token})
    assert (answer.status_code, answer.text.count("event: status")) == (200, 1)


@pytest.mark.timeout(300)
def test_a_browser_receives_events_by_event_source(keyed: SystemWithKeys, page: Page) -> None:
    key = _tenant(keyed, "tokens-browser")
    mine = _finished(keyed, key)
    token = keyed.post(f"{mine}/events-token", key.key).json()["token"]
    page.goto(f"{keyed.system.url}/docs")

    status = page.evaluate(
        """address => new Promise((resolve, reject) => {
            const events = new EventSource(address);
            events.onerror = reject;
            events.addEventListener("status", event => {
                events.close();
                resolve(JSON.parse(event.data).status);
            });
        })""",
        f"{mine}/events?token={token}",
    )

    assert status == "succeeded"


def _tenant(keyed: SystemWithKeys, name: str) -> CreatedTestKey:
    keyed.tenant(name)
    return keyed.key(name)


def _finished(keyed: SystemWithKeys, key: CreatedTestKey) -> str:
    keyed.post("/scripts", key.key, json={"name": "same", "source": IDENTITY})
    answer = keyed.post(
        "/scripts/same/executions", key.key, content=b"1", headers={"Prefer": "wait=60"}
    )
    assert answer.json()["status"] == "succeeded", answer.text
    return str(answer.headers["Location"])


def _events(keyed: SystemWithKeys, execution: str, token: str) -> httpx.Response:
    return keyed.get(f"{execution}/events", "", params={"token": token})


def _until_refused(keyed: SystemWithKeys, execution: str, token: str) -> None:
    """Wait until the API refuses the token itself; it caches tokens apart from their keys."""
    for _ in until("the token is refused"):
        answer = keyed.system.client.head(f"{execution}/events", params={"token": token})
        if answer.status_code == 401:
            break
    # The stream's last check of access is not repeated for this long.
    time.sleep(RECENT_SECONDS)


def _is_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["type"] == "urn:crivo:problem:invalid-token"
