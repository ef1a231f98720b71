"""A waiting request is answered when its execution finishes, whatever happens to connections."""

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import msgspec
import pytest

from app.auth.model import Scope
from app.embedded.processes import await_ready, spawn, stop as stop_services
from app.embedded.servers import prepare_postgres
from app.notifier import APPLICATION_NAME
from tests.executions.waiting.idle_systems import BUSY, IDENTITY, start_idle
from tests.support.raw_connections import answer_on
from tests.support.servers import alembic, execute
from tests.support.system import System, open_system, stop, until
from tests.support.system_with_keys import SystemWithKeys

FOREVER = "function process(_) { for (;;); }"


def test_a_waiting_request_gets_the_result(system: System) -> None:
    system.upload("waits-busy", BUSY)
    location = system.submit("waits-busy", b"7")

    execution = system.client.get(location, params={"wait": 60}).json()

    assert (execution["status"], execution["result"]) == ("succeeded", 7)


def test_a_waiting_request_gets_a_failure(system: System) -> None:
    system.upload("waits-throws", "function process(data) { throw new Error('no') }")
    location = system.submit("waits-throws", b"7")

    execution = system.client.get(location, params={"wait": 60}).json()

    assert execution["error"]["kind"] == "script_error"


def test_a_wait_that_times_out_gets_the_current_state(idle: System) -> None:
    location = idle.submit("same", b"1")
    by_parameter = idle.client.get(location, params={"wait": "0.01"})
    by_header = idle.client.get(location, headers={"Prefer": "wait=1"})

    for answer in (by_parameter, by_header):
        assert answer.json()["status"] == "queued"
        assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/scripts/waits-same/executions", b"[1]"),
        ("/executions", b'{"script": "waits-same", "data": [1]}'),
    ],
)
def test_a_submission_that_prefers_to_wait_gets_its_result(
    system: System, path: str, body: bytes
) -> None:
    status = system.client.get("/scripts/waits-same").status_code
    if status == 404:
        system.upload("waits-same", IDENTITY)
    headers = {"Content-Type": "application/json", "Prefer": "respond-async, WAIT=60"}

    answer = system.client.post(path, content=body, headers=headers)

    assert (answer.status_code, answer.json()["result"]) == (200, [1])
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert answer.headers["Location"] == f"/executions/{answer.json()['id']}"
    assert answer.content == system.client.get(answer.headers["Location"]).content


def test_a_submission_that_does_not_finish_in_time_gets_202(idle: System) -> None:
    answer = _post(idle, "wait=1")

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Location"] == answer.json()["url"]


def test_an_unknown_preference_is_ignored(idle: System) -> None:
    for prefer in ("respond-async", "wait=soon", "wait=-1", "wait", "return=wait"):
        answer = _post(idle, prefer)

        assert answer.status_code == 202, prefer
        assert "Preference-Applied" not in answer.headers, prefer


@pytest.mark.parametrize("wait", ["-1", "nan", "soon", ""])
def test_an_invalid_wait_is_refused(system: System, wait: str) -> None:
    answer = system.client.get(f"/executions/{_UNKNOWN}", params={"wait": wait})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/wait"


def test_a_wait_for_an_unknown_execution_is_a_404(system: System) -> None:
    assert system.client.get(f"/executions/{_UNKNOWN}?wait=60").status_code == 404


def test_a_submission_by_a_key_that_may_not_read_does_not_wait(keyed: SystemWithKeys) -> None:
    keyed.tenant("waits-writer")
    reader = keyed.key("waits-writer", [Scope.READ, Scope.WRITE_SCRIPTS])
    writer = keyed.key("waits-writer", [Scope.WRITE_EXECUTIONS])
    made = keyed.post("/scripts", reader.key, json={"name": "same", "source": IDENTITY})
    assert made.status_code == 201

    answer = keyed.post(
        "/scripts/same/executions", writer.key, content=b"1", headers={"Prefer": "wait=60"}
    )

    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers


def test_every_api_process_is_notified_of_every_completion(idle: System) -> None:
    with _second_api(idle) as other:
        location = idle.submit("same", b"1")
        with (
            _waiting(other, location) as waiting,
            _waiting(idle.port, location) as here,
            idle.another_worker(),
        ):
            assert [_status(waiting), _status(here)] == ["succeeded", "succeeded"]


def test_losing_every_connection_loses_no_completion(idle: System) -> None:
    location = idle.submit("busy", b"1")
    with _waiting(idle.port, location) as waiting, idle.another_worker():
        for _ in until("it runs"):
            if idle.client.get(location).json()["status"] == "running":
                break
        # The listeners' only; another test terminates the worker's connections.
        _terminate(idle, APPLICATION_NAME)

        assert _status(waiting) == "succeeded"


def test_a_restart_of_postgresql_loses_no_completion(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "data").mkdir()
    service, url = prepare_postgres(tmp_path / "data", durable=False)
    running = [(service, spawn(service))]
    await_ready(running)
    alembic(url, "upgrade", "head")
    with (
        open_system(database_url=url, redis_url=redis_url, folder=tmp_path) as system,
        ExitStack() as stack,
    ):
        # Entered last: the server stops before the system, whose processes would wait for it.
        stack.callback(lambda: stop_services(running))
        system.start()
        system.upload("busy", BUSY.replace("4e8", "2e9"))
        location = system.submit("busy", b"1")
        with _waiting(system.port, location) as waiting, _events(system, location) as events:
            assert next(events)["status"] in ("queued", "running")
            for _ in until("it runs"):
                if system.client.get(location).json()["status"] == "running":
                    break
            # A request that has not read yet would get a 503.
            for _ in until("both wait, and have read"):
                page = system.client.get("/metrics").text
                if "crivo_waiting_readers 2.0" in page and 'state="used"} 0.0' in page:
                    break

            stop_services(running)
            service, _ = prepare_postgres(tmp_path / "data")
            running[:] = [(service, spawn(service))]
            await_ready(running)

            assert _status(waiting) == "succeeded"
            assert [each["status"] for each in events][-1] == "succeeded"


def test_a_thousand_requests_wait_and_one_more_is_refused(idle: System) -> None:
    location = idle.submit("same", b"1")

    async def wait_together() -> list[bytes]:
        clients = [await asyncio.open_connection("127.0.0.1", idle.port) for _ in range(1_001)]
        answers = [asyncio.create_task(reader.read()) for reader, _ in clients]
        for _, writer in clients:
            writer.write(_request(location))
        [refused], waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result().startswith(b"HTTP/1.1 429 ")
        assert _body(refused.result())["type"] == "urn:crivo:problem:too-many-waiting"
        # Other requests are served meanwhile, and a preference to wait is not refused.
        assert (await asyncio.to_thread(idle.client.get, location)).status_code == 200
        assert (await asyncio.to_thread(_post, idle, "wait=60")).status_code == 202
        with idle.another_worker():
            await asyncio.wait(answers)
        for _, writer in clients:
            writer.close()
        return [each.result() for each in waiting]

    answers = asyncio.run(wait_together())

    assert [_body(each)["status"] for each in answers] == ["succeeded"] * 1_000


def test_an_api_process_limits_its_waiting_requests(idle: System) -> None:
    with _second_api(idle, CRIVO_MAX_WAITING="1") as port:
        location = idle.submit("same", b"1")
        with _waiting(port, location):
            answer = _until_answered(port, location, 503)

    assert answer.json()["type"] == "urn:crivo:problem:no-room-to-wait"
    assert answer.headers["Retry-After"] == "1"


def test_a_client_that_disconnects_frees_its_waiter(idle: System) -> None:
    with _second_api(idle, CRIVO_MAX_WAITING_OF_TENANT="1") as port:
        location = idle.submit("same", b"1")
        submission = (
            b"POST /scripts/same/executions HTTP/1.1\r\nHost: localhost\r\n"
            b"Prefer: wait=60\r\nContent-Length: 1\r\n\r\n1"
        )
        events = _request(f"{location}/events", wait="")
        for request in (_request(location), events, submission):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(request)
                # No polling yet: a poll that waits would take the only place from the request.
                for _ in until("the request waits"):
                    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
                    if "crivo_waiting_readers 1.0" in page:
                        break
                _until_answered(port, location, 429)

            _until_answered(port, location, 200)


def test_waiting_requests_are_answered_at_once_when_the_api_stops(
    stopped_system: System,
) -> None:
    idle = start_idle(stopped_system)
    location = idle.submit("same", b"1")
    assert idle.api is not None
    submission: Queue[httpx.Response] = Queue()
    submitter = threading.Thread(target=lambda: submission.put(_post(idle, "wait=60")))
    with _waiting(idle.port, location) as waiting, _events(idle, location) as events:
        assert next(events)["status"] == "queued"
        submitter.start()
        for _ in until("the submission is accepted"):
            if len(idle.client.get("/executions").json()["items"]) == 2:
                break

        assert stop(idle.api) in (0, -signal.SIGTERM)

        assert _status(waiting) == "queued"
        # The stream ends cleanly: the client reconnects, to the next process.
        assert list(events) == []
    submitter.join()
    assert submission.get().status_code == 202


_UNKNOWN = "01900000-0000-7000-8000-000000000000"


def _post(system: System, prefer: str) -> httpx.Response:
    return system.client.post("/scripts/same/executions", content=b"1", headers={"Prefer": prefer})


def _request(location: str, *, wait: str = "?wait=60") -> bytes:
    return f"GET {location}{wait} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


@contextmanager
def _waiting(port: int, location: str) -> Iterator[socket.socket]:
    """Send a request that waits."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(_request(location))
        yield connection


def _status(waiting: socket.socket) -> str:
    answer = answer_on(waiting)
    assert answer is not None
    assert answer.status == 200, answer.body
    return str(msgspec.json.decode(answer.body)["status"])


def _body(answer: bytes) -> Any:  # noqa: ANN401
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])


@contextmanager
def _events(system: System, location: str) -> Iterator[Iterator[dict[str, Any]]]:
    with system.client.stream("GET", f"{location}/events") as answer:
        assert answer.status_code == 200
        lines = (line.partition(": ") for line in answer.iter_lines())
        yield (msgspec.json.decode(value) for name, _, value in lines if name == "data")


@contextmanager
def _second_api(system: System, **environ: str) -> Iterator[int]:
    """Run another API process on the same servers and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = system.spawn("app.main", CRIVO_PORT=str(port), **environ)
    try:
        for _ in until("the second API answers"):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200:
                    break
            except httpx.TransportError:
                continue
        yield port
    finally:
        stop(process)


def _until_answered(port: int, location: str, status: int) -> httpx.Response:
    for _ in until(f"a wait is answered {status}"):
        answer = httpx.get(f"http://127.0.0.1:{port}{location}", params={"wait": "0.01"})
        if answer.status_code == status:
            return answer
    raise AssertionError


def _terminate(system: System, application: str) -> None:
    execute(system.environ["DATABASE_URL"], _TERMINATE.format(application))


_TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = '{}'
"""
