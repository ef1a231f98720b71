"""Measure the cost of an API key: the same request with and without one, alternately."""

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from app.embedded.allocator import ALLOCATOR_ENVIRONMENT
from app.embedded.servers import embedded_servers
from app.keys.model import new_key
from scripts.benchmarks.output import new_line, print_line

# The median difference to a request without a key.
GOAL_MS: Final = 0.2
_HOST: Final = "127.0.0.1"
_ROOT: Final = Path(__file__).resolve().parents[2]
_SOURCE: Final = "function process(data) { return data }"
_TIMEOUT_SECONDS: Final = 60.0


def main(arguments: Sequence[str]) -> int:
    """Measure on dedicated servers and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench keys", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=7, help="of which the median is taken")
    parser.add_argument("--count", type=int, default=500, help="requests of each kind in a run")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    options = parser.parse_args(arguments)
    runs, count = (1, 10) if options.quick else (options.runs, options.count)
    key = new_key()
    with _api(CRIVO_ADMIN_KEY=key, CRIVO_AUTH="open") as port:
        _measure(port, key, runs=runs, count=count, quick=options.quick)
    return 0


def _measure(port: int, key: str, *, runs: int, count: int, quick: bool) -> None:
    with_key = {"Authorization": f"Bearer {key}"}
    connection = http.client.HTTPConnection(_HOST, port, timeout=_TIMEOUT_SECONDS)
    connection.connect()
    body = msgspec.json.encode({"name": "keys", "source": _SOURCE})
    _request(connection, "POST", "/scripts", {"Content-Type": "application/json"}, body)
    # Without a worker it stays queued, so every response is the same.
    execution = msgspec.json.decode(
        _request(connection, "POST", "/scripts/keys/executions", {}, b"1")
    )
    path = f"/executions/{execution['id']}"
    _medians_ms(connection, path, with_key, count)
    medians = [_medians_ms(connection, path, with_key, count) for _ in range(runs)]
    connection.close()
    line = new_line(
        "key-per-request",
        unit="ms",
        runs=[ours - theirs for ours, theirs in medians],
        baseline=("GET /executions/{id} without a key", [theirs for _, theirs in medians]),
        goal=GOAL_MS,
        also={"with_key_ms": [ours for ours, _ in medians]},
    )
    print_line(line, cpus=os.cpu_count(), quick=quick)


def _medians_ms(
    connection: http.client.HTTPConnection, path: str, with_key: Mapping[str, str], count: int
) -> tuple[float, float]:
    """Alternate between both kinds, so that other load affects both alike."""
    kinds: tuple[Mapping[str, str], ...] = (with_key, {})
    durations_ms: tuple[list[float], ...] = ([], [])
    for number in range(count):
        # The second may find warm caches, so the order alternates too.
        for kind in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            _request(connection, "GET", path, kinds[kind])
            durations_ms[kind].append((time.perf_counter() - began) * 1_000)
    return statistics.median(durations_ms[0]), statistics.median(durations_ms[1])


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> bytes:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    content = response.read()
    if response.status >= http.client.BAD_REQUEST:
        raise RuntimeError(f"{method} {path}: {content.decode()}")
    return content


@contextmanager
def _api(**environ: str) -> Iterator[int]:
    """Run an API on dedicated servers; yield its port."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crivo-bench-")))
        servers = stack.enter_context(embedded_servers(folder, durable=False))
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port: int = probe.getsockname()[1]
        settings = {
            **ALLOCATOR_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "BLOB_URL": (folder / "blobs").as_uri(),
            "CRIVO_PORT": str(port),
            "CRIVO_LOG_LEVEL": "warning",
            **environ,
        }
        upgrade = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(  # noqa: S603 - fixed argv
            upgrade, check=True, cwd=_ROOT, env=settings, stderr=subprocess.DEVNULL
        )
        api = subprocess.Popen([sys.executable, "-m", "app.main"], cwd=_ROOT, env=settings)
        stack.callback(api.wait)
        stack.callback(api.terminate)
        _await_live(port)
        yield port


def _await_live(port: int) -> None:
    end = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < end:
        try:
            _request(http.client.HTTPConnection(_HOST, port), "GET", "/health/live", {})
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the API does not respond")
