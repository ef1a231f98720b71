"""Start the whole system and its peer in temporary folders, with their default durability."""

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
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import asyncpg
import msgspec
from msgspec import structs

from app.embedded.allocator import ALLOCATOR_ENVIRONMENT
from app.embedded.processes import Running, Service, await_ready, kill_group, spawn, stop
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
_POLL_SECONDS: Final = 0.05
_UNFINISHED: Final = "SELECT count(*) FROM executions WHERE status IN ('queued', 'running')"


class System(Protocol):
    """A measured system, which runs a script on data and returns the result."""

    @property
    def port(self) -> int:
        """Return the port of its API."""

    @property
    def roots(self) -> dict[str, int]:
        """Return its processes by name, without their descendants."""

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Build the body of a submission."""

    async def execute(self, client: Client, body: bytes, *, poll_seconds: float) -> bytes:
        """Submit and return the response with the result; `poll_seconds` of 0 waits if possible."""


class Crivo:
    """Crivo: API and worker on a dedicated PostgreSQL and Redis."""

    def __init__(self, folder: Path, *, port: int, environ: Mapping[str, str]) -> None:
        """Take the data folder and settings; use `running_crivo`."""
        self.port = port
        self.admin_key = new_key()
        self._folder = folder
        self._settings = environ
        self._running: dict[str, Running] = {}

    @property
    def roots(self) -> dict[str, int]:
        """Return its processes by name, without their descendants."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    @property
    def database_url(self) -> str:
        """Return the URL of the database."""
        return self._database_url

    @property
    def redis_url(self) -> str:
        """Return the URL of Redis."""
        return self._redis_url

    def start(self) -> None:
        """Start it."""
        postgres, self._database_url = prepare_postgres(self._folder)
        redis, self._redis_url = prepare_redis(self._folder)
        for name, service in (("postgres", postgres), ("redis", redis)):
            self._running[name] = (service, spawn(service))
        await_ready(list(self._running.values()))
        self._environ = {
            **ALLOCATOR_ENVIRONMENT,
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self._redis_url,
            "BLOB_URL": (self._folder / "blobs").as_uri(),
            "CRIVO_PORT": str(self.port),
            # Requests without a key are those of the tenant `default`.
            "CRIVO_AUTH": "open",
            "CRIVO_ADMIN_KEY": self.admin_key,
            **self._settings,
        }
        migrate(self._database_url)
        worker = self._own_service("worker", "app.worker", lambda: True)
        self._running["worker"] = (worker, spawn(worker))
        api = self._own_service("api", "app.main", lambda: _responds(self.port, "/health/ready"))
        self._running["api"] = (api, spawn(api))
        await_ready([self._running["api"]])

    def kill(self, name: str) -> None:
        """Kill -9 one of the processes, by its name in `roots`."""
        _, process = self._running[name]
        process.kill()
        process.wait()

    def restart(self, name: str) -> None:
        """Start a killed process again."""
        service, process = self._running[name]
        kill_group(process)
        self._running[name] = (service, spawn(service))

    def is_ready(self, name: str) -> bool:
        """Return whether a process works."""
        service, _ = self._running[name]
        return service.is_ready()

    def has_exited(self, name: str) -> bool:
        """Return whether a process has ended."""
        _, process = self._running[name]
        return process.poll() is not None

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        service, _ = self._running[name]
        return service.log

    def stop(self) -> None:
        """Stop API and worker, then the servers."""
        for names in (("api", "worker"), ("postgres", "redis")):
            stop([self._running[name] for name in names if name in self._running])

    async def drained(self) -> None:
        """Wait until nothing is queued or running."""
        conn = await asyncpg.connect(self._database_url)
        try:
            # ASYNC110: another process cannot set an event here.
            while await conn.fetchval(_UNFINISHED):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await conn.close()

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Build the body of a submission: the data, as the script is uploaded already."""
        del source
        return payload

    async def execute(
        self, client: Client, body: bytes, *, poll_seconds: float = 0, script: str = "cards"
    ) -> bytes:
        """Submit and return the finished execution; wait with `Prefer`, or poll if requested."""
        headers = "" if poll_seconds else "Prefer: wait=60\r\n"
        status, response = await client.request(
            "POST", f"/scripts/{script}/executions", body, headers=headers
        )
        if status == _ACCEPTED:
            path = f"/executions/{msgspec.json.decode(response)['id']}"
            while status == _ACCEPTED or b'"finished_at":null' in response:
                await asyncio.sleep(poll_seconds)
                status, response = await client.request("GET", path)
        if status != _OK or b'"status":"succeeded"' not in response:
            raise RuntimeError(f"not a success: {status} {response[:500]!r}")
        return response

    async def create(self, script: str, source: bytes, *, key: str = "") -> None:
        """Create a script."""
        body = msgspec.json.encode({"name": script, "source": source.decode()})
        await self.post("/scripts", body, key=key)

    async def post(self, path: str, body: bytes, *, key: str = "") -> dict[str, str]:
        """Create a resource and return it."""
        client = Client(self.port, key=key)
        headers = "Content-Type: application/json\r\n"
        status, response = await client.request("POST", path, body, headers=headers)
        client.close()
        if status != _CREATED:
            raise RuntimeError(f"{path}: {status} {response[:500]!r}")
        created: dict[str, str] = msgspec.json.decode(response)
        return created

    def _own_service(self, name: str, module: str, is_ready: "_Ready") -> Service:
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
    """Fastify, BullMQ and isolated-vm on a dedicated Redis that syncs its log every second."""

    def __init__(self, folder: Path, program: Path, *, port: int) -> None:
        """Take the folder of its installed packages; use `running_peer`."""
        self.port = port
        self._folder = folder
        self._program = program
        self._running: dict[str, Running] = {}

    @property
    def roots(self) -> dict[str, int]:
        """Return its processes by name, without their descendants."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    def start(self, node: str) -> None:
        """Start it."""
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
                is_ready=lambda: _responds(self.port, "/jobs/0"),
                environ=environ,
                folder=self._program,
            )
            self._running[f"node-{name}"] = (service, spawn(service))
        await_ready([self._running["node-api"]])

    def stop(self) -> None:
        """Stop it."""
        for names in (("node-api", "node-worker"), ("redis",)):
            stop([self._running[name] for name in names if name in self._running])

    def encode(self, source: bytes, payload: bytes) -> bytes:
        """Build the body of a submission: script and data."""
        script = msgspec.json.encode(source.decode())
        return b'{"script":' + script + b',"data":' + payload + b"}"

    async def execute(self, client: Client, body: bytes, *, poll_seconds: float) -> bytes:
        """Submit and return the finished job, by polling."""
        headers = "Content-Type: application/json\r\n"
        status, response = await client.request("POST", "/jobs", body, headers=headers)
        path = f"/jobs/{msgspec.json.decode(response)['id']}"
        while b'"status":"completed"' not in response:
            if status not in {_OK, _ACCEPTED} or b'"status":"failed"' in response:
                raise RuntimeError(f"not a success: {status} {response[:500]!r}")
            await asyncio.sleep(poll_seconds)
            status, response = await client.request("GET", path)
        return response


@asynccontextmanager
async def running_crivo(**environ: str) -> AsyncIterator[Crivo]:
    """Run Crivo within the block, with these settings."""
    with _folder() as folder:
        crivo = Crivo(folder, port=free_port(), environ=environ)
        try:
            crivo.start()
            yield crivo
        finally:
            crivo.stop()


@asynccontextmanager
async def running_peer() -> AsyncIterator[Peer | None]:
    """Run the peer within the block; yield None without node or npm."""
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
    """Install the peer's packages beside a copy of its code, once per lock file."""
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
    """Upgrade a database to the newest revision."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=subprocess.DEVNULL,
    )


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _responds(port: int, path: str) -> bool:
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
