"""Quotas hold exactly under concurrent requests to several API processes."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from app.quotas.errors import QuotaExceeded
from tests.support.raw_connections import connected
from tests.support.servers import Databases, Servers, redis_database
from tests.support.system import System, open_system, until
from tests.support.system_with_keys import SystemWithKeys

SOURCE: Final = "function process(data) { return data }"
MIB: Final = 2**20
SUBMITTERS: Final = 32


@pytest.fixture(scope="module")
def keyed_apis(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SystemWithKeys, list[str]]]:
    """Two API processes and no worker, so queued executions stay queued."""
    folder = tmp_path_factory.mktemp("quotas")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        keyed = SystemWithKeys(system)
        system.start_api()
        system.await_api()
        with system.another_api() as other:
            yield keyed, [system.url, other]


def limited(keyed: SystemWithKeys, **caps: int) -> str:
    """Create a tenant with caps; return a key of it."""
    name = f"limited-{uuid4().hex}"
    answer = keyed.post("/tenants", json={"name": name, "caps": caps})
    assert answer.status_code == 201, answer.text
    return keyed.key(name).key


def blobs_of(keyed: SystemWithKeys) -> set[Path]:
    return {path for path in (keyed.system.folder / "blobs").rglob("*") if path.is_file()}


def at_once(
    urls: list[str], key: str, count: int, request: Callable[[int], dict[str, Any]]
) -> list[httpx.Response]:
    """Send `count` requests from concurrent clients, to each API in turn."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                httpx.Client(
                    base_url=url,
                    timeout=60,
                    trust_env=False,
                    headers={"Authorization": f"Bearer {key}"},
                )
            )
            for url in urls
        ]
        threads = stack.enter_context(ThreadPoolExecutor(SUBMITTERS))
        return list(
            threads.map(lambda n: clients[n % len(clients)].request(**request(n)), range(count))
        )


def submission(data: bytes) -> Callable[[int], dict[str, Any]]:
    return lambda _: {"method": "POST", "url": "/scripts/echo/executions", "content": data}


def upload(keyed: SystemWithKeys, key: str) -> None:
    answer = keyed.post("/scripts", key, json={"name": "echo", "source": SOURCE})
    assert answer.status_code == 201, answer.text


def refused(answers: list[httpx.Response], quota: str, limit: int) -> list[httpx.Response]:
    """Return the refusals, after a check that they describe this quota."""
    found = [answer for answer in answers if answer.status_code == 429]
    for answer in found:
        problem = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["type"] == "urn:crivo:problem:quota-exceeded"
        assert (problem["quota"], problem["limit"]) == (quota, limit)
        assert problem["violated-policies"] == [quota]
        assert answer.headers["RateLimit-Policy"].startswith(f'"{quota}";q={limit}')
        if QuotaExceeded(quota, limit=1, used=1).retry_after_seconds is None:
            # Waiting does not help.
            assert "Retry-After" not in answer.headers
            assert "try again" not in problem["detail"]
            assert re.fullmatch(rf'"{quota}";r=\d+', answer.headers["RateLimit"])
        else:
            assert int(answer.headers["Retry-After"]) > 0
            assert re.fullmatch(rf'"{quota}";r=\d+;t=\d+', answer.headers["RateLimit"])
    return found


# Below and above the margin within which the quota is checked without a lock.
@pytest.mark.parametrize("cap", [7, 330])
def test_the_quota_of_queued_executions_is_exact(
    keyed_apis: tuple[SystemWithKeys, list[str]], cap: int
) -> None:
    keyed, urls = keyed_apis
    key = limited(keyed, max_queued=cap)
    upload(keyed, key)

    answers = at_once(urls, key, cap + 60, submission(b"[1]"))

    assert Counter(answer.status_code for answer in answers) == {202: cap, 429: 60}
    assert [answer.json()["used"] for answer in refused(answers, "queued", cap)] == [cap] * 60
    # Another tenant is not affected.
    other = limited(keyed)
    upload(keyed, other)
    assert keyed.post("/scripts/echo/executions", other, content=b"1").status_code == 202


@pytest.mark.parametrize("quota", ["stored-bytes", "bytes-per-day"])
@pytest.mark.parametrize(("size", "fit"), [(1_000, 10), (3 * MIB // 2, 3)], ids=["rows", "blobs"])
def test_the_quotas_of_bytes_are_exact(
    keyed_apis: tuple[SystemWithKeys, list[str]], quota: str, size: int, fit: int
) -> None:
    keyed, urls = keyed_apis
    cap = size * fit + size // 2
    key = limited(keyed, **{f"max_{quota.replace('-', '_')}": cap})
    upload(keyed, key)
    before = blobs_of(keyed)

    answers = at_once(urls, key, fit + 12, submission(b"1" * size))

    assert Counter(answer.status_code for answer in answers) == {202: fit, 429: 12}
    refusals = refused(answers, quota, cap)
    assert [answer.json()["used"] for answer in refusals] == [size * fit] * 12
    # A smaller input still fits, and refused inputs leave nothing behind.
    assert [each.status_code for each in at_once(urls, key, 1, submission(b"1"))] == [202]
    assert len(blobs_of(keyed) - before) == (fit if size > MIB else 0)


@pytest.mark.parametrize("quota", ["queued", "stored-bytes", "bytes-per-day"])
def test_an_input_over_a_quota_is_refused_before_it_was_sent(
    keyed_apis: tuple[SystemWithKeys, list[str]], quota: str
) -> None:
    keyed, urls = keyed_apis
    cap = 1 if quota == "queued" else 2 * MIB
    key = limited(keyed, **{f"max_{quota.replace('-', '_')}": cap})
    upload(keyed, key)
    assert [each.status_code for each in at_once(urls, key, 1, submission(b"1"))] == [202]
    before = blobs_of(keyed)
    head = (
        "POST /scripts/echo/executions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {3 * MIB}\r\n\r\n"
    )

    # The rest is never sent: an API that waited for it would respond with 408.
    with connected(keyed.system.port) as connection:
        connection.sendall(head.encode() + b"1" * (MIB // 2))
        answer = connection.recv(65_536).decode()

    assert answer.startswith("HTTP/1.1 429 ")
    assert f'RateLimit-Policy: "{quota}";q={cap}'.lower() in answer.lower()
    assert blobs_of(keyed) == before


def test_a_daily_quota_resets_at_midnight(keyed_apis: tuple[SystemWithKeys, list[str]]) -> None:
    keyed, urls = keyed_apis
    key = limited(keyed, max_bytes_per_day=5)
    upload(keyed, key)
    first, second = at_once(urls, key, 2, submission(b"12345"))
    assert sorted((first.status_code, second.status_code)) == [202, 429]
    [late] = refused([first, second], "bytes-per-day", 5)
    assert int(late.headers["Retry-After"]) <= 86_401
    assert ";w=86400" in late.headers["RateLimit-Policy"]

    keyed.execute("UPDATE tenant_usage SET day = day - 1")

    assert [each.status_code for each in at_once(urls, key, 1, submission(b"12345"))] == [202]


def test_the_quotas_of_scripts_and_versions_are_exact(
    keyed_apis: tuple[SystemWithKeys, list[str]],
) -> None:
    keyed, urls = keyed_apis
    key = limited(keyed, max_scripts=3, max_versions=5)

    def script(number: int) -> dict[str, Any]:
        body = {"name": f"script-{number}", "source": SOURCE}
        return {"method": "POST", "url": "/scripts", "json": body}

    def version(number: int) -> dict[str, Any]:
        return {
            "method": "POST",
            "url": f"/scripts/{made[number % 3]}/versions",
            "json": {"source": f"{SOURCE} // {number}"},
        }

    scripts = at_once(urls, key, 8, script)
    made = [answer.json()["name"] for answer in scripts if answer.status_code == 201]
    versions = at_once(urls, key, 8, version)

    assert Counter(answer.status_code for answer in scripts) == {201: 3, 429: 5}
    assert len(refused(scripts, "scripts", 3)) == 5
    assert Counter(answer.status_code for answer in versions) == {201: 2, 429: 6}
    assert len(refused(versions, "versions", 5)) == 6


def test_defaults_apply_to_tenants_without_their_own_caps(stopped_system: System) -> None:
    keyed = SystemWithKeys(stopped_system)
    stopped_system.environ["CRIVO_DEFAULT_MAX_SCRIPTS"] = "1"
    stopped_system.start_api()
    stopped_system.await_api()
    own = limited(keyed, max_scripts=2)
    keyed.tenant("plain")
    plain = keyed.key("plain").key

    made = {
        key: [
            keyed.post("/scripts", key, json={"name": name, "source": SOURCE}).status_code
            for name in ("a", "b", "c")
        ]
        for key in (own, plain)
    }

    assert made == {own: [201, 201, 429], plain: [201, 429, 429]}


def test_a_rate_limit_holds_across_processes(keyed_apis: tuple[SystemWithKeys, list[str]]) -> None:
    keyed, urls = keyed_apis
    cap = 20
    key = limited(keyed, max_requests_per_second=cap)

    begun = time.monotonic()
    answers: list[httpx.Response] = []
    while time.monotonic() - begun < 3:
        answers += at_once(urls, key, 64, lambda _: {"method": "GET", "url": "/scripts"})
    seconds = time.monotonic() - begun

    admitted = [answer for answer in answers if answer.status_code == 200]
    assert len(admitted) + len(refused(answers, "requests", cap)) == len(answers)
    # A full bucket of each process, then the limit in total. Counts of the other process arrive a
    # quarter of a second late.
    assert len(admitted) <= cap * (seconds + 2 + 1)
    assert len(admitted) >= cap * seconds * 0.5
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {f'"requests";q={cap};w=1'}
    # Other tenants are not affected, and the tenant is served again a little later.
    assert keyed.get("/scripts").status_code == 200
    assert "RateLimit" not in keyed.get("/scripts").headers
    for _ in until("the tenant is served again"):
        if keyed.get("/scripts", key).status_code == 200:
            break
