"""A tenant that floods a scarce resource leaves other tenants their share."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import httpx
import pytest

from tests.support.half_sent_requests import begun
from tests.support.servers import Databases, Servers, redis_database
from tests.support.system import open_system, until
from tests.support.system_with_keys import SystemWithKeys

ENDLESS: Final = "while (true) {} function process(data) { return data }"
GOOD: Final = "function process(data) { return data }"
# Takes tree-sitter seconds, and V8 little.
HARD_TO_READ: Final = f"{GOOD}{';' * 400_000}"
_JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def shared(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SystemWithKeys]:
    """A system that allows a tenant fifty requests in flight, of which three may wait."""
    folder = tmp_path_factory.mktemp("floods")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        system.environ |= {
            "CRIVO_MAX_REQUESTS_OF_TENANT": "50",
            "CRIVO_MAX_WAITING_OF_TENANT": "3",
        }
        keyed = SystemWithKeys(system).start()
        for name in ("flooding", "other"):
            keyed.tenant(name)
        yield keyed
        assert "request.failed" not in system.logs_of_process("app.main")


FLOODS: Final[dict[str, dict[str, Any]]] = {
    "checks": {"source": ENDLESS},
    "samples": {
        "source": "function process(data) { while (true) {} }",
        "sample": 1,
        "limits": {"wall_ms": 1_000},
    },
    "readings": {"source": HARD_TO_READ},
}


@pytest.mark.parametrize("flood", FLOODS)
def test_forty_checks_of_one_tenant_do_not_delay_anothers_upload(
    shared: SystemWithKeys, flood: str
) -> None:
    flooding, other = shared.key("flooding").key, shared.key("other").key
    answered: list[int] = []

    def check() -> httpx.Response:
        answer = httpx.post(
            f"{shared.system.url}/scripts/check",
            json=FLOODS[flood],
            headers=shared.authorized(flooding),
            timeout=120,
            trust_env=False,
        )
        answered.append(answer.status_code)
        return answer

    with ThreadPoolExecutor(40) as threads:
        checks = [threads.submit(check) for _ in range(40)]
        # Requests over its share are refused at once: the queue is full.
        _await(lambda: answered.count(429) >= 20, "the flood is there")
        before = len(answered) - answered.count(429)
        upload = shared.post("/scripts/check", other, json={"source": GOOD, "sample": 1})
        meanwhile = len(answered) - answered.count(429) - before
        answers = [each.result() for each in checks]

    assert upload.status_code == 200, upload.text
    # A check, a lint and a sample, each behind at most one turn of the flood, and the one that
    # ended while the upload arrived.
    assert meanwhile <= 4
    refused = [each.json() for each in answers if each.status_code == 429]
    assert {each["type"] for each in refused} == {"urn:crivo:problem:too-many-checks"}


def test_slow_bodies_of_one_tenant_leave_connections_for_others(shared: SystemWithKeys) -> None:
    flooding, other = shared.key("flooding").key, shared.key("other").key
    headers = {**shared.authorized(flooding), **_JSON}
    body = json.dumps({"source": GOOD}).encode()

    with ExitStack() as stack:
        slow = [
            stack.enter_context(begun(shared.system.port, "POST", "/scripts/check", headers, body))
            for _ in range(60)
        ]
        refused = _refused(shared, flooding)

        assert refused.json()["type"] == "urn:crivo:problem:too-many-requests"
        assert refused.headers["Retry-After"] == "1"
        assert shared.get("/scripts", other).status_code == 200
        assert slow[0].end().status == 200
    for _ in until("those that were given up are gone"):
        if shared.get("/scripts", flooding).status_code == 200:
            break


def test_waiters_of_one_tenant_leave_room_for_others(shared: SystemWithKeys) -> None:
    flooding, other = shared.key("flooding").key, shared.key("other").key
    loop = {"name": "loop", "source": "function process(data) { while (data) {} return 1 }"}
    for key in (flooding, other):
        assert shared.post("/scripts", key, json=loop).status_code == 201
    submitted = shared.post("/scripts/loop/executions", flooding, content=b"1")
    address = f"{shared.system.url}{submitted.headers['Location']}"

    def wait() -> httpx.Response:
        return httpx.get(
            f"{address}?wait=60",
            headers=shared.authorized(flooding),
            timeout=120,
            trust_env=False,
        )

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(wait) for _ in range(4)]
        _await(lambda: any(each.done() for each in waiting), "one too many is refused")
        others = shared.post(
            "/scripts/loop/executions", other, content=b"0", headers={"Prefer": "wait=30"}
        )
        shared.post(f"{submitted.headers['Location']}/cancel", flooding)
        statuses = sorted(_status(each) for each in waiting)

    assert statuses == [200, 200, 200, 429]
    assert others.status_code == 200
    assert others.json()["status"] == "succeeded"


def _refused(shared: SystemWithKeys, key: str) -> httpx.Response:
    for _ in until("as many requests are under way as may be"):
        answer = shared.get("/scripts", key)
        if answer.status_code == 429:
            return answer
    raise AssertionError


def _status(answer: Future[httpx.Response]) -> int:
    return answer.result().status_code


def _await(condition: Callable[[], bool], what: str) -> None:
    for _ in until(what):
        if condition():
            return
