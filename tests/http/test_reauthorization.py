"""Access is re-checked after every wait: a caller that would be refused now gets nothing."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.auth.callers import RECENT_SECONDS
from app.auth.model import ALL_SCOPES, Scope
from tests.support.half_sent_requests import HalfSentRequest, begun
from tests.support.metrics_pages import Page
from tests.support.raw_connections import Answer, connected
from tests.support.requests_with_bodies import CASES, FOLD, MULTIPART, SOURCE, UPLOAD, Case
from tests.support.system import System, until
from tests.support.system_with_keys import WORKING, CreatedTestKey, SystemWithKeys

STORED: Final = """
SELECT (SELECT string_agg(id::text || description || updated_at, ',' ORDER BY id) FROM scripts),
       (SELECT count(*) FROM script_versions),
       (SELECT string_agg(script_id::text || alias || version, ',' ORDER BY script_id, alias)
        FROM script_aliases),
       (SELECT string_agg(id::text || description || updated_at, ',' ORDER BY id) FROM schemas),
       (SELECT count(*) FROM schema_versions),
       (SELECT count(*) FROM executions),
       (SELECT count(*) FROM batches),
       (SELECT count(*) FROM comparisons),
       (SELECT count(*) FROM runs),
       (SELECT count(*) FROM exports),
       (SELECT string_agg(id::text || weight, ',' ORDER BY id) FROM tenants),
       (SELECT count(*) FROM api_keys),
       (SELECT string_agg(name || description, ',' ORDER BY id) FROM datasets),
       (SELECT count(*) FROM dataset_snapshots),
       (SELECT count(*) FROM dataset_parts),
       (SELECT string_agg(name || definition, ',' ORDER BY id) FROM pipes),
       (SELECT count(*) FROM pipe_inbox),
       (SELECT count(*) FROM callback_secrets),
       (SELECT count(*) FROM audit_log)
"""
# Runs long enough for a test to revoke a key meanwhile.
BUSY: Final = (
    "function process(data) { let n = 0; while (n < 3e9) n++; return `shown too late ${n}` }"
)


def _id_of(case: Case) -> str:
    return f"{case.name}-{case.media_type.rpartition('/')[2]}"


@pytest.fixture(scope="module")
def tenant(keyed: SystemWithKeys) -> str:
    """A tenant with a script that has run, and one that runs for seconds."""
    tenant = keyed.tenant("held-requests")
    key = keyed.key("held-requests").key
    for path, wanted in (
        ("/scripts", {"name": "held", "source": SOURCE}),
        ("/scripts/held/versions", {"source": f"{SOURCE} // second"}),
        ("/scripts", {"name": "busy", "source": BUSY}),
        ("/scripts", {"name": "folded", "source": FOLD}),
    ):
        made = keyed.post(path, key, json=wanted)
        assert made.status_code == 201, made.text
    alias = keyed.request("PUT", "/scripts/held/aliases/prod", key, json={"version": 1})
    assert alias.status_code == 200
    assert keyed.request("PUT", "/schemas/held", key, json={"schema": {}}).is_success
    assert keyed.request("PUT", "/datasets/held", key, json={"key": "/pk"}).is_success
    assert keyed.request("PUT", "/datasets/held/files/b", key, content=b'{"pk":"b"}').is_success
    pipe = {"from": {"http": {}}, "to": {"dataset": {"dataset": "held"}}, "script": "held@1"}
    assert keyed.request("PUT", "/pipes/held", key, json=pipe).is_success
    keyed.execute(
        "INSERT INTO dataset_uploads (id, tenant_id, dataset_id, mode, expires_at) "
        "SELECT $1, tenant_id, id, 'append', now() + interval '1 day' FROM datasets "
        "WHERE name = 'held'",
        UUID(UPLOAD),
    )
    # It can be replayed and compared.
    ran = keyed.post("/scripts/held/executions", key, content=b"1", headers={"Prefer": "wait=30"})
    assert ran.json()["status"] == "succeeded", ran.text
    return tenant


def test_a_revoked_key_changes_nothing_with_a_body_that_comes_late(
    keyed: SystemWithKeys, tenant: str
) -> None:
    keys = {
        case: _cached_key(
            keyed,
            "default" if case.scope is Scope.ADMIN else tenant,
            sorted({case.scope, Scope.READ}),
        )
        for case in CASES
    }

    with ExitStack() as stack:
        held = {
            case: stack.enter_context(_held(keyed, case, made.key)) for case, made in keys.items()
        }
        for made in keys.values():
            _revoke(keyed, made)
        before = _stored(keyed.system)
        answers = _end_all(held)
        after = _stored(keyed.system)

    assert {_id_of(case): _refusal(answer) for case, answer in answers.items()} == {
        _id_of(case): (401, "urn:crivo:problem:invalid-key") for case in CASES
    }
    assert after == before


def test_a_suspended_tenant_changes_nothing_with_a_body_that_comes_late(
    keyed: SystemWithKeys, tenant: str
) -> None:
    key = _cached_key(keyed, tenant, WORKING).key
    cases = [each for each in CASES if each.scope is not Scope.ADMIN]

    with ExitStack() as stack:
        held = {case: stack.enter_context(_held(keyed, case, key)) for case in cases}
        keyed.request("PATCH", f"/tenants/{tenant}", json={"suspended": True})
        try:
            keyed.becomes(403, key)
            before = _stored(keyed.system)
            answers = _end_all(held)
            after = _stored(keyed.system)
        finally:
            keyed.request("PATCH", f"/tenants/{tenant}", json={"suspended": False})
            keyed.becomes(200, key)

    assert {_id_of(case): _refusal(answer) for case, answer in answers.items()} == {
        _id_of(case): (403, "urn:crivo:problem:tenant-suspended") for case in cases
    }
    assert after == before


@pytest.mark.parametrize(
    ("case", "cap"),
    [
        ("createScript", {"max_scripts": 1}),
        ("addVersion", {"max_versions": 1}),
        ("submitRaw", {"max_bytes_per_day": 1}),
        ("submitEnvelope", {"max_stored_bytes": 1}),
        ("putFile", {"max_stored_bytes": 1}),
        ("putPart", {"max_bytes_per_day": 1}),
    ],
)
def test_a_late_body_is_subject_to_the_current_caps(
    keyed: SystemWithKeys, tenant: str, case: str, cap: dict[str, int]
) -> None:
    key = keyed.key(tenant).key
    wanted = next(each for each in CASES if each.name == case)
    if cap.keys() & {"max_bytes_per_day", "max_stored_bytes"}:
        assert keyed.post("/scripts/held/executions", key, content=b"[1]").status_code == 202

    with _held(keyed, wanted, key) as held:
        keyed.request("PATCH", f"/tenants/{tenant}", json={"caps": cap})
        try:
            _await_refresh(keyed)
            answer = _end(held)
        finally:
            back = dict.fromkeys(cap)
            keyed.request("PATCH", f"/tenants/{tenant}", json={"caps": back})

    assert answer.status == 429, answer.body
    assert json.loads(answer.body)["type"] == "urn:crivo:problem:quota-exceeded"


def test_a_late_request_without_a_key_is_refused_after_the_first_key(
    stopped_system: System,
) -> None:
    stopped_system.environ["CRIVO_AUTH"] = "auto"
    stopped_system.start_api()
    stopped_system.await_api()
    body = json.dumps({"scopes": sorted(ALL_SCOPES)}).encode()
    headers = {"Content-Type": "application/json"}

    with begun(stopped_system.port, "POST", "/keys", headers, body) as held:
        first = stopped_system.client.post("/keys", content=body, headers=headers)
        for _ in until("a key is required"):
            if stopped_system.client.get("/scripts").status_code == 401:
                break
        answer = _end(held)

    assert first.status_code == 201
    assert answer.status == 401
    authorized = {"Authorization": f"Bearer {first.json()['key']}"}
    assert len(stopped_system.client.get("/keys", headers=authorized).json()["items"]) == 1


@pytest.mark.parametrize(
    ("waits", "how"), [("show", "suspended"), ("submission", "revoked"), ("check", "revoked")]
)
def test_who_waits_for_a_result_is_not_shown_it_any_more(
    keyed: SystemWithKeys, tenant: str, waits: str, how: str
) -> None:
    made = _cached_key(keyed, tenant, WORKING)
    requests: dict[str, Callable[[], httpx.Response]] = {
        "submission": lambda: keyed.post(
            "/scripts/busy/executions", made.key, content=b"1", headers={"Prefer": "wait=30"}
        ),
        "check": lambda: keyed.post("/scripts/check", made.key, json={"source": BUSY, "sample": 1}),
    }
    if waits == "show":
        submitted = keyed.post("/scripts/busy/executions", made.key, content=b"1")
        address = submitted.headers["Location"]
        requests["show"] = lambda: keyed.get(f"{address}?wait=30", made.key)

    with ThreadPoolExecutor() as threads:
        answer = threads.submit(requests[waits])
        _await_busy(keyed, waits)
        if how == "revoked":
            _revoke(keyed, made)
        else:
            keyed.request("PATCH", f"/tenants/{tenant}", json={"suspended": True})
            keyed.becomes(403, made.key)
        was_waiting = not answer.done()
        shown = answer.result()
    if how == "suspended":
        keyed.request("PATCH", f"/tenants/{tenant}", json={"suspended": False})

    assert was_waiting, "the script must run for longer than a revocation takes to take effect"
    assert shown.status_code == (401 if how == "revoked" else 403)
    assert "too late" not in shown.text


def test_a_long_download_ends_when_its_key_is_revoked(keyed: SystemWithKeys, tenant: str) -> None:
    made = _cached_key(keyed, tenant, WORKING)
    source = "function process(data) { return 'x'.repeat(64 * 1024 * 1024) }"
    keyed.post("/scripts", made.key, json={"name": "long-download", "source": source})
    wait = {"Prefer": "wait=60"}
    ran = keyed.post("/scripts/long-download/executions", made.key, content=b"1", headers=wait)
    address = ran.json()["result_url"]

    with connected(keyed.system.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(
            f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {made.key}\r\n\r\n".encode()
        )
        begin = connection.recv(65_536)
        _revoke(keyed, made)
        received = len(begin)
        for _ in until("the download ends"):
            chunk = _received(connection)
            received += len(chunk)
            if not chunk:
                break

    assert begin.startswith(b"HTTP/1.1 200")
    assert received < 64 * 1024 * 1024
    assert '"answer.cut"' in keyed.system.logs_of_process("app.main")


def test_a_key_that_revokes_itself_gets_its_response(keyed: SystemWithKeys) -> None:
    made = keyed.key("default", [Scope.ADMIN])

    revoked = keyed.request("DELETE", f"/keys/{made.id}", made.key)

    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None


def _end(held: HalfSentRequest) -> Answer:
    """Send the rest once the last check of access is no longer recent."""
    # The API's own interval: an earlier end would be admitted by the last check.
    time.sleep(RECENT_SECONDS)
    return held.end()


def _end_all(held: dict[Case, HalfSentRequest]) -> dict[Case, Answer]:
    """Send the rest of all at once, after one such wait."""
    time.sleep(RECENT_SECONDS)
    return {case: each.end() for case, each in held.items()}


def _refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["type"]


def _held(keyed: SystemWithKeys, case: Case, key: str) -> Any:  # noqa: ANN401 - a context
    media_type = f"{case.media_type}; boundary=x" if case.media_type == MULTIPART else None
    headers = {**keyed.authorized(key), "Content-Type": media_type or case.media_type}
    return begun(keyed.system.port, case.method, case.path, headers, case.body)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def _cached_key(keyed: SystemWithKeys, tenant: str, scopes: Sequence[Scope]) -> CreatedTestKey:
    """Create a key that is in the API's cache, so that its revocation invalidates the cache."""
    made = keyed.key(tenant, scopes)
    keyed.becomes(200, made.key)
    return made


def _revoke(keyed: SystemWithKeys, made: CreatedTestKey) -> None:
    assert keyed.request("DELETE", f"/keys/{made.id}").status_code == 200
    keyed.becomes(401, made.key)


def _await_refresh(keyed: SystemWithKeys) -> None:
    """Wait until the API's cache has noticed every earlier change."""
    _revoke(keyed, _cached_key(keyed, "default", [Scope.READ]))


def _await_busy(keyed: SystemWithKeys, waits: str) -> None:
    name, labels = "crivo_waiting_readers", {}
    if waits == "check":
        name, labels = "crivo_cells", {"state": "running"}
    for _ in until(f"{waits} has begun to wait"):
        if Page(keyed.get("/metrics").text).value(name, **labels):
            return


def _stored(system: System) -> tuple[object, ...]:
    """Return the rows that a request could change, and the number of audit entries."""

    async def read() -> tuple[object, ...]:
        connection = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            [row] = await connection.fetch(STORED)
            return tuple(row)
        finally:
            await connection.close()

    return asyncio.run(read())
