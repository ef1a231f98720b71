"""The whole system and its peer, started below throw-away folders, durable as shipped."""

import asyncio
import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import asyncpg
import msgspec
from msgspec import structs

from app.embedded.allocator import ALLOCATOR_ENVIRONMENT
from app.embedded.processes import Running, Service, await_ready, spawn, stop
from app.embedded.servers import prepare_postgres, prepare_redis
from app.keys.model import new_key
from scripts.benchmarks.load import Client

ROOT: Final = Path(__file__).resolve().parents[2]
_PEER: Final = Path(__file__).with_name("peers")
_PEER_FILES: Final = ("package.json", "package-lock.json", ".npmrc")
_HOST: Final = "127.0.0.1"
_OK: Final = 200
_ACCEPTED: Final = 202
_CREATED: Final = 201
_LOOK_SECONDS: Final = 0.05
_UNFINISHED: Final = "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"


class System(Protocol):
    """What is measured: it takes data for a script and gives its result."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def roots(self) -> dict[str, int]:
        """Name its processes; what is below them is theirs."""

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Make the body of a submission."""

    async def execute(self, client: Client, body: bytes, *, poll_seconds: float) -> bytes:
        """Submit and give the answer with the result; 0: wait for it where that is possible."""


class Crivo:
    """Ours: API and worker on a PostgreSQL and a Redis of their own."""

    def __init__(self, folder: Path, *, port: int) -> None:
        """Take where it keeps its data; use `running_crivo`."""
        self.port = port
        self.admin_key = new_key()
        self._folder = folder
        self._running: dict[str, Running] = {}

    @property
    def roots(self) -> dict[str, int]:
        """Name its processes; what is below them is theirs."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    @property
    def database_url(self) -> str:
        """Name the database."""
        return self._database_url

    def start(self) -> None:
        """Bring it up."""
        postgres, self._database_url = prepare_postgres(self._folder)
        redis, redis_url = prepare_redis(self._folder)
        for name, service in (("postgres", postgres), ("redis", redis)):
            self._running[name] = (service, spawn(service))
        await_ready(list(self._running.values()))
        self._environ = {
            **ALLOCATOR_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self._database_url,
            "REDIS_URL": redis_url,
            "BLOB_URL": (self._folder / "blobs").as_uri(),
            "CRIVO_PORT": str(self.port),
            # Tenants have keys, and who has none is the tenant `default`.
            "CRIVO_AUTH": "open",
            "CRIVO_ADMIN_KEY": self.admin_key,
        }
        migrate(self._database_url)
        self.start_worker()
        api = self._ours("api", "app.main", lambda: _answers(self.port, "/health/ready"))
        self._running["api"] = (api, spawn(api))
        await_ready([self._running["api"]])

    def start_worker(self) -> None:
        """Start a worker, also in place of one that was killed."""
        service = self._ours("worker", "app.worker", lambda: True)
        self._running["worker"] = (service, spawn(service))

    def kill_worker(self) -> None:
        """Kill -9 the worker."""
        _, process = self._running["worker"]
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Take it down: ours first, then what it stands on."""
        for names in (("api", "worker"), ("postgres", "redis")):
            stop([self._running[name] for name in names if name in self._running])

    async def drained(self) -> None:
        """Wait until nothing is queued or runs."""
        conn = await asyncpg.connect(self._database_url)
        try:
            # ASYNC110: another process sets no event of ours.
            while await conn.fetchval(_UNFINISHED):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await conn.close()

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Make the body of a submission: the data; its script is there already."""
        del source
        return payload

    async def execute(
        self, client: Client, body: bytes, *, poll_seconds: float = 0, script: str = "cards"
    ) -> bytes:
        """Submit and give the finished execution, by `Prefer: wait` unless it shall poll."""
        headers = "" if poll_seconds else "Prefer: wait=60\r\n"
        status, answer = await client.ask(
            "POST", f"/scripts/{script}/executions", body, headers=headers
        )
        if status == _ACCEPTED:
            path = f"/executions/{msgspec.json.decode(answer)['id']}"
            while status == _ACCEPTED or b'"finished_at":null' in answer:
                await asyncio.sleep(poll_seconds)
                status, answer = await client.ask("GET", path)
        if status != _OK or b'"status":"succeeded"' not in answer:
            raise RuntimeError(f"not a success: {status} {answer[:500]!r}")
        return answer

    async def create(self, script: str, source: bytes, *, key: str = "") -> None:
        """Create a script."""
        body = msgspec.json.encode({"name": script, "source": source.decode()})
        await self.post("/scripts", body, key=key)

    async def post(self, path: str, body: bytes, *, key: str = "") -> dict[str, str]:
        """Create something."""
        client = Client(self.port, key=key)
        headers = "Content-Type: application/json\r\n"
        status, answer = await client.ask("POST", path, body, headers=headers)
        client.close()
        if status != _CREATED:
            raise RuntimeError(f"{path}: {status} {answer[:500]!r}")
        made: dict[str, str] = msgspec.json.decode(answer)
        return made

    def _ours(self, name: str, module: str, is_ready: "_Ready") -> Service:
        return Service(
            name=name,
            command=[sys.executable, "-m", module],
            log=self._folder / "log" / f"{name}.log",
            is_ready=is_ready,
            environ=self._environ,
            folder=ROOT,
        )


class _Ready(Protocol):
    def __call__(self) -> bool: ...


class Peer:
    """Fastify, BullMQ and isolated-vm on a Redis of its own that writes each second's file."""

    def __init__(self, folder: Path, program: Path, *, port: int) -> None:
        """Take where its packages are installed; use `running_peer`."""
        self.port = port
        self._folder = folder
        self._program = program
        self._running: dict[str, Running] = {}

    @property
    def roots(self) -> dict[str, int]:
        """Name its processes; what is below them is theirs."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    def start(self, node: str) -> None:
        """Bring it up."""
        plain, url = prepare_redis(self._folder)
        durable = ["--appendonly", "yes", "--appendfsync", "everysec"]
        redis = structs.replace(plain, command=[*plain.command, *durable])
        self._running["redis"] = (redis, spawn(redis))
        await_ready([self._running["redis"]])
        environ = {
            "PATH": os.environ["PATH"],
            "NODE_ENV": "production",
            "REDIS_SOCKET": url.removeprefix("unix://"),
            "PORT": str(self.port),
        }
        for name in ("worker", "api"):
            service = Service(
                name=f"peer's {name}",
                command=[node, str(self._program / f"{name}.js")],
                log=self._folder / "log" / f"{name}.log",
                is_ready=lambda: _answers(self.port, "/jobs/0"),
                environ=environ,
                folder=self._program,
            )
            self._running[f"node-{name}"] = (service, spawn(service))
        await_ready([self._running["node-api"]])

    def stop(self) -> None:
        """Take it down."""
        for names in (("node-api", "node-worker"), ("redis",)):
            stop([self._running[name] for name in names if name in self._running])

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Make the body of a submission: script and data."""
        script = msgspec.json.encode(source.decode())
        return b'{"script":' + script + b',"data":' + payload + b"}"

    async def execute(self, client: Client, body: bytes, *, poll_seconds: float) -> bytes:
        """Submit and give the finished job; it can only be asked again and again."""
        headers = "Content-Type: application/json\r\n"
        status, answer = await client.ask("POST", "/jobs", body, headers=headers)
        path = f"/jobs/{msgspec.json.decode(answer)['id']}"
        while b'"status":"completed"' not in answer:
            if status not in {_OK, _ACCEPTED} or b'"status":"failed"' in answer:
                raise RuntimeError(f"not a success: {status} {answer[:500]!r}")
            await asyncio.sleep(poll_seconds)
            status, answer = await client.ask("GET", path)
        return answer


@asynccontextmanager
async def running_crivo() -> AsyncIterator[Crivo]:
    """Run ours for the length of the block."""
    with _folder() as folder:
        crivo = Crivo(folder, port=free_port())
        try:
            crivo.start()
            yield crivo
        finally:
            crivo.stop()


@asynccontextmanager
async def running_peer() -> AsyncIterator[Peer | None]:
    """Run the peer for the length of the block; None where there is no node or npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        yield None
        return
    program = install_peer(npm)
    with _folder() as folder:
        peer = Peer(folder, program, port=free_port())
        try:
            peer.start(node)
            yield peer
        finally:
            peer.stop()


def install_peer(npm: str) -> Path:
    """Install the peer's packages beside a copy of its code, once for each lock."""
    lock = (_PEER / "package-lock.json").read_bytes()
    target = ROOT / ".cache" / f"peer-{hashlib.sha256(lock).hexdigest()[:16]}"
    target.mkdir(parents=True, exist_ok=True)
    for name in _PEER_FILES:
        shutil.copy(_PEER / name, target)
    done = target / "installed"
    if not done.exists():
        sys.stderr.write("installing the peer's packages (once; isolated-vm may be compiled)\n")
        command = [npm, "ci", "--no-progress", "--loglevel=error"]
        subprocess.run(command, cwd=target, check=True, stdout=sys.stderr)  # noqa: S603 - fixed argv
        done.touch()
    for code in _PEER.glob("*.js"):
        shutil.copy(code, target)
    return target


def migrate(database_url: str) -> None:
    """Bring a database to the newest revision."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=subprocess.DEVNULL,
    )


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, path: str) -> bool:
    with contextlib.closing(http.client.HTTPConnection(_HOST, port, timeout=1)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status in {_OK, http.client.NOT_FOUND}
        except OSError:
            return False


@contextmanager
def _folder() -> Iterator[Path]:
    with ExitStack() as stack:
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crivo-bench-")))
