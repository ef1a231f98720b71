"""Metrics match what happened, in the API, the workers and the queue."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from app.auth.model import Scope
from app.metrics import OTHER, LabelLimiter
from tests.support.metrics_pages import Page, listener_of, read_page
from tests.support.servers import Databases, Servers, execute, redis_database
from tests.support.system import ROOT, System, open_system, stop, until
from tests.support.system_with_keys import SystemWithKeys

ECHO: Final = "function process(data) { return data }"
THROWING: Final = "function process(data) { throw new Error('no') }"
GREEDY: Final = "function process(data) { for (const all = [];;) all.push(Array(1e6).fill(data)) }"
# A metric in an expression of Prometheus; labels and functions have other names.
_METRIC: Final = re.compile(r"\b(?:crivo|process)_[a-z0-9_]+")


@pytest.fixture(scope="module")
def observed(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system with metrics listeners; each test has scripts of its own."""
    folder = tmp_path_factory.mktemp("observed")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        system.environ["CRIVO_METRICS_LISTEN"] = "127.0.0.1:0"
        yield system.start()


def _workers_page(system: System) -> Page:
    return read_page(listener_of(system, "app.worker"))


def _await_end(system: System, count: int, **labels: str) -> Page:
    """Wait until ends are counted, a moment after their commit makes them readable."""
    for _ in until(f"{count} ends are counted"):
        page = _workers_page(system)
        if page.value("crivo_execution_lead_seconds_count", **labels) >= count:
            return page
    raise AssertionError


def test_executions_are_counted_with_their_times(observed: System) -> None:
    before = _workers_page(observed)
    observed.upload("counted", ECHO)
    observed.upload("counted-throws", THROWING)

    receipts = [observed.run("counted", b"1")["receipt"] for _ in range(3)]
    observed.run("counted-throws", b"1")

    count_before = before.value("crivo_execution_lead_seconds_count", outcome="succeeded")
    page = _await_end(observed, int(count_before) + 3, outcome="succeeded", tenant="default")
    page = _await_end(observed, 1, outcome="script_error")
    for kind, member in (("lead", "lead_ms"), ("queue", "queued_ms"), ("run", "run_ms")):
        name = f"crivo_execution_{kind}_seconds"
        succeeded = {"tenant": "default", "outcome": "succeeded"}
        counted = page.value(f"{name}_count", **succeeded) - before.value(
            f"{name}_count", **succeeded
        )
        seconds = page.value(f"{name}_sum", **succeeded) - before.value(f"{name}_sum", **succeeded)
        assert counted == 3
        assert seconds == pytest.approx(sum(each[member] for each in receipts) / 1_000, rel=1e-3)
        assert page.value(f"{name}_count", outcome="script_error") == 1


def test_the_end_of_an_execution_is_one_log_line(observed: System) -> None:
    observed.upload("logged", ECHO)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    answer = observed.client.post(
        "/scripts/logged/executions",
        content=b'"secret-of-the-user"',
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
    )
    ended = observed.finished(answer.headers["Location"])

    event = _finished_event(observed, ended["id"])
    receipt = ended["receipt"]
    assert event["event"] == "execution.finished"
    assert (event["tenant"], event["script"], event["outcome"]) == (
        "default",
        "logged@1",
        "succeeded",
    )
    assert (event["attempts"], event["input_bytes"], event["output_bytes"]) == (1, 20, 20)
    assert event["lead_ms"] == pytest.approx(receipt["lead_ms"])
    assert event["queued_ms"] == pytest.approx(receipt["queued_ms"])
    for measure in ("run_ms", "cpu_ms", "peak_memory_bytes"):
        assert event[measure] == pytest.approx(receipt[measure])
    assert event["trace_id"] == trace
    assert event["worker"]
    assert "secret-of-the-user" not in observed.logs_of_process("app.worker")


def test_a_killed_cell_is_counted_by_its_reason(observed: System) -> None:
    observed.upload("greedy", GREEDY)
    before = _workers_page(observed).value("crivo_cells_killed_total")

    ended = observed.run("greedy", b"1", memory_bytes=64 * 1024 * 1024)

    assert ended["error"]["kind"] == "out_of_memory"
    page = _workers_page(observed)
    assert page.value("crivo_cells_killed_total") == before + 1
    assert page.labels("crivo_cells_killed_total", "reason") <= {"memory", "died", "limit"}


def test_cells_and_connections_are_shown_by_state(observed: System) -> None:
    page = _workers_page(observed)

    assert page.labels("crivo_cells", "state") == {
        *("running", "resting", "recovering", "fresh", "being_born")
    }
    # Those of two slots, one for executions beside parts of runs, and one for pipes.
    assert page.value("crivo_cell_slots") == 4
    assert page.labels("crivo_database_connections", "state") == {"used", "idle"}
    assert page.value("crivo_database_connections_max") == 10
    assert page.value("crivo_process_info", process="worker") == 1
    assert page.value("process_resident_memory_bytes") > 0


def test_wake_ups_are_counted_by_the_process_that_sends_them(observed: System) -> None:
    observed.upload("wakes", ECHO)
    # A hand-over needs no wake-up; of a tenant with a cap there are none.
    execute(observed.environ["DATABASE_URL"], "UPDATE tenants SET max_running = 100")
    requested = read_page(observed.url).value("crivo_rings_wanted_total")

    for _ in range(5):
        observed.submit("wakes", b"1")

    for _ in until("every wake-up has been sent or coalesced"):
        page = read_page(observed.url)
        if page.value("crivo_rings_total") == page.value("crivo_rings_wanted_total"):
            break
    else:
        raise AssertionError
    assert page.value("crivo_rings_wanted_total") == requested + 5
    assert page.value("crivo_rings_total", result="sent") >= 1
    assert page.value("crivo_rings_total", result="failed") == 0
    execute(observed.environ["DATABASE_URL"], "UPDATE tenants SET max_running = NULL")


def test_requests_are_counted_by_their_route(observed: System) -> None:
    observed.upload("counted-by-route", ECHO)
    observed.client.get("/scripts/counted-by-route")
    observed.client.get("/scripts/not-there")
    observed.client.get("/no/route/of/ours")
    observed.client.request("BREW", "/scripts")
    address = observed.submit("counted-by-route", b"1")
    observed.client.get(address, params={"wait": 30})

    page = read_page(observed.url)

    route = "/scripts/{script}"
    assert page.value("crivo_http_requests_total", route=route, method="GET", status="200") >= 1
    assert page.value("crivo_http_requests_total", route=route, method="GET", status="404") >= 1
    assert page.value("crivo_http_requests_total", route="(none)", status="404") >= 1
    assert page.value("crivo_http_requests_total", method="other") >= 1
    assert page.value("crivo_http_request_seconds_count", route=route) >= 2
    waited = {"route": "/executions/{execution}", "waits": "yes"}
    assert page.value("crivo_http_request_seconds_count", **waited) == 1
    labels = "".join(str(sample.labels) for sample in page.samples)
    assert "counted-by-route" not in labels
    assert "BREW" not in labels


def test_the_api_shows_the_queue_without_a_worker(stopped_system: System) -> None:
    stopped_system.start_api()
    stopped_system.await_api()
    stopped_system.upload("waiting", ECHO)
    empty = read_page(stopped_system.url)
    for priority in (0, 0, 5):
        stopped_system.submit("waiting", b"1", priority=priority)
    # Simulates a long wait, of one whose priority is not the highest.
    execute(
        stopped_system.environ["DATABASE_URL"],
        "UPDATE executions SET created_at = created_at - interval '1 hour' "
        "WHERE id = (SELECT id FROM executions ORDER BY id LIMIT 1)",
    )

    for _ in until("the page is read anew"):
        page = read_page(stopped_system.url)
        if page.value("crivo_queue_depth") == 3:
            break
    else:
        raise AssertionError

    assert (empty.value("crivo_queue_depth"), empty.value("crivo_queue_oldest_seconds")) == (0, 0)
    assert page.value("crivo_queue_oldest_seconds") >= 3_600
    assert page.value("crivo_tenant_queue_depth", tenant="default") == 3
    assert page.value("crivo_tenant_queue_oldest_seconds", tenant="default") >= 3_600
    assert page.value("crivo_workers") == 0
    assert page.value("crivo_database_up") == 1


def test_workers_on_one_host_share_a_range_of_ports(stopped_system: System) -> None:
    first = _port_with_a_free_one_above()
    listen = {"CRIVO_METRICS_LISTEN": f"127.0.0.1:{first}-{first + 1}"}

    stopped_system.start_worker(**listen)
    assert listener_of(stopped_system, "app.worker", 0) == f"http://127.0.0.1:{first}"
    stopped_system.start_worker(**listen)
    assert listener_of(stopped_system, "app.worker", 1) == f"http://127.0.0.1:{first + 1}"


def test_a_worker_whose_address_is_in_use_works_and_listens_once_it_is_free(
    stopped_system: System,
) -> None:
    first = _port_with_a_free_one_above()
    listen = {"CRIVO_METRICS_LISTEN": f"127.0.0.1:{first}"}
    before = stopped_system.start_worker(**listen)
    listener_of(stopped_system, "app.worker", 0)
    stopped_system.start_worker(**listen)
    for _ in until("it has logged that it cannot listen"):
        if "metrics.address_taken" in stopped_system.logs_of_process("app.worker"):
            break

    stop(before)

    assert listener_of(stopped_system, "app.worker", 1) == f"http://127.0.0.1:{first}"


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1", b"POST /metrics HTTP/1.1", b"no HTTP"])
def test_a_listener_serves_nothing_else(observed: System, request_: bytes) -> None:
    host, _, port = listener_of(observed, "app.worker").removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request_ + b"\r\n\r\n")
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk

    assert answer.split()[1] in {b"404", b"405"}
    assert b"crivo_" not in answer


def test_a_listener_answers_head_without_a_body(observed: System) -> None:
    address = f"{listener_of(observed, 'app.worker')}/metrics"

    head = httpx.head(address, trust_env=False)

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    refused = httpx.post(address, trust_env=False)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_the_apis_page_needs_a_key_with_the_scope_admin(keyed: SystemWithKeys) -> None:
    working = keyed.key(keyed.tenant("measures"), [Scope.READ])

    assert keyed.get("/metrics", "").status_code == 401
    assert keyed.get("/metrics", working.key).status_code == 403
    assert keyed.get("/metrics").status_code == 200


def test_tenants_beyond_the_limit_share_a_label() -> None:
    limiter = LabelLimiter(2)

    labels = [limiter.label(each) for each in ("a", "b", "c", "a", "d", "b")]

    assert labels == ["a", "b", OTHER, "a", OTHER, "b"]


def test_a_process_limits_its_tenant_labels(stopped_system: System) -> None:
    stopped_system.environ["CRIVO_METRICS_TENANTS"] = "1"
    keyed = SystemWithKeys(stopped_system)
    stopped_system.start_api()
    stopped_system.await_api()
    for number in range(3):
        key = keyed.key(keyed.tenant(f"bounded-{number}")).key
        assert keyed.post("/scripts", key, json={"name": "waits", "source": ECHO}).is_success
        assert keyed.post("/executions", key, json={"script": "waits", "data": 1}).is_success

    for _ in until("the page is read anew"):
        page = Page(keyed.get("/metrics").text)
        if page.value("crivo_queue_depth") == 3:
            break
    else:
        raise AssertionError

    name, other = sorted(page.labels("crivo_tenant_queue_depth", "tenant"), reverse=True)
    assert (name.startswith("bounded-"), other) == (True, OTHER)
    assert page.value("crivo_tenant_queue_depth", tenant=name) == 1
    assert page.value("crivo_tenant_queue_depth", tenant=OTHER) == 2


def test_every_metric_of_the_dashboard_exists(observed: System) -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana" / "crivo.json").read_bytes())
    observed.upload("shown", ECHO)
    observed.run("shown", b"1")
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in _METRIC.findall(target["expr"])
    }
    page = _await_end(observed, 1)

    existing = {
        sample.name for each in (page, read_page(observed.url)) for sample in each.samples
    } | {
        # Families without a sample yet.
        f"{family.name}{'_total' if family.type == 'counter' else ''}"
        for each in (page, read_page(observed.url))
        for family in each.families.values()
    }

    assert len(shown) > 20
    assert shown - existing == set()


def _finished_event(system: System, execution_id: str) -> dict[str, object]:
    for _ in until("its end is logged"):
        for line in system.logs_of_process("app.worker").splitlines():
            if execution_id in line and line.endswith("}"):
                event: dict[str, object] = json.loads(line)
                return event
    raise AssertionError


def _port_with_a_free_one_above() -> int:
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
