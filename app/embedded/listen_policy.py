"""Whether the API may listen where it is told to, and how its requests get in."""

import http.client
import ipaddress
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.embedded.errors import CannotStart
from app.embedded.processes import guarded
from app.settings import Settings

_ROOT: Final = Path(__file__).parents[2]
_HEALTH_SECONDS: Final = 5.0


def is_ready(settings: Settings) -> bool:
    """Say whether the API takes work and has it done."""
    return _health(settings)[0] == http.client.OK


def access_of(settings: Settings) -> str:
    """Say how requests get in: `open` or `keys`."""
    try:
        found: str = msgspec.json.decode(_health(settings)[1], type=_Health).access
    except msgspec.DecodeError:
        return "keys"
    return found


def check_access(settings: Settings, data: Path) -> None:
    """Refuse, before anything is made, to listen where there can be no key to ask for.

    Raises CannotStart.
    """
    known = settings.database_url or settings.admin_key or (data / "postgres").exists()
    if (
        _is_loopback(settings.host)
        or settings.insecure_listen
        or (known and settings.auth != "open")
    ):
        return
    message = (
        f"CRIVO_HOST={settings.host} is not this machine's loopback: there the API needs keys; "
        "make one (./start.sh admin key create --all), or give one (CRIVO_ADMIN_KEY)"
    )
    raise CannotStart(message)


def check_api(settings: Settings, api: Sequence[str], environ: Mapping[str, str]) -> None:
    """Let the API itself say, in one line, why it would not start. Raises CannotStart."""
    if _is_loopback(settings.host) and not settings.admin_key:
        return
    done = subprocess.run(  # noqa: S603 - fixed argv
        guarded([*api, "--check"], "self"),
        env=environ,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise CannotStart(last.removeprefix("api: "))


class _Health(Struct, frozen=True):
    access: str


def _health(settings: Settings) -> tuple[int, bytes]:
    """Ask the API how it is; 0 when it does not answer."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - asked, not listened on
    connection = http.client.HTTPConnection(host, settings.port, timeout=_HEALTH_SECONDS)
    try:
        # An open API answers for loopback only.
        connection.request("GET", "/health/ready", headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
