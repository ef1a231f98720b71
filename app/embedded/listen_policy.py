"""Decide whether the API may listen on its address, and how it authorizes requests."""

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
    """Return whether the API accepts work and a worker does it."""
    return _health(settings)[0] == http.client.OK


def access_of(settings: Settings) -> str:
    """Return how the API authorizes requests: `open` or `keys`."""
    try:
        access: str = msgspec.json.decode(_health(settings)[1], type=_Health).access
    except msgspec.DecodeError:
        return "keys"
    return access


def check_access(settings: Settings, data: Path) -> None:
    """Refuse to listen beyond loopback if no key can exist, before anything is created.

    Raises CannotStart.
    """
    may_have_keys = settings.database_url or settings.admin_key or (data / "postgres").exists()
    if (
        _is_loopback(settings.host)
        or settings.insecure_listen
        or (may_have_keys and settings.auth != "open")
    ):
        return
    message = (
        f"CRIVO_HOST={settings.host} is not a loopback address, so the API needs keys; "
        "create one (./start.sh admin key create --all), or set one (CRIVO_ADMIN_KEY)"
    )
    raise CannotStart(message)


def check_api(settings: Settings, api: Sequence[str], environ: Mapping[str, str]) -> None:
    """Have the API check its own settings. Raises CannotStart with its reason."""
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
    """Return the status and body of the health check; status 0 if the API does not respond."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - connected to, not listened on
    connection = http.client.HTTPConnection(host, settings.port, timeout=_HEALTH_SECONDS)
    try:
        # An open API accepts loopback hosts only.
        connection.request("GET", "/health/ready", headers={"Host": "localhost"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
