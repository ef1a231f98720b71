"""Before the API listens: whether it may, and the first key that a setting gives."""

from pathlib import Path

import structlog
import uuid_utils.compat as uuid

from app.db import Connection, open_pool
from app.errors import CrivoError
from app.http.access import ALL_SCOPES, Caller, Caps, Via
from app.http.loopback import is_loopback
from app.keys import service, store
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

log = structlog.get_logger(__name__)


class CannotListen(CrivoError):
    """The settings would let strangers in, or nobody at all."""


def open_without_keys(settings: Settings) -> bool:
    """Say whether nobody needs a key as long as there is none."""
    return settings.auth != "keys" and (_is_local(settings) or settings.insecure_listen)


async def prepare(settings: Settings) -> None:
    """Have the key of CRIVO_ADMIN_KEY, and refuse to listen where it would be wrong.

    Raises CannotListen, UnusableSeed, DatabaseUnavailable, and as open_pool.
    """
    beyond = not _is_local(settings)
    where = f"CRIVO_BIND={settings.bind}" if settings.bind else f"CRIVO_HOST={settings.host}"
    if beyond and settings.auth == "open" and not settings.insecure_listen:
        raise CannotListen(
            f"{where} with CRIVO_AUTH=open: without keys the API listens on "
            "loopback only; CRIVO_INSECURE_LISTEN=true says that something else keeps strangers out"
        )
    must_have_key = beyond and not open_without_keys(settings)
    if not must_have_key and not settings.admin_key:
        return
    async with open_pool(settings) as pool, pool.acquire() as conn:
        if settings.admin_key:
            await _ensure_admin_key(conn, settings.admin_key)
        state = await store.select_state(conn)
    if must_have_key and not state.any_key:
        command = "./start.sh compose admin" if settings.bind else "./start.sh admin"
        raise CannotListen(
            f"{where}: beyond loopback the API needs keys, and there is none; "
            f"make one ({command} key create --all), or give one (CRIVO_ADMIN_KEY)"
        )


def _is_local(settings: Settings) -> bool:
    """Say whether only this machine reaches the API, as far as the settings tell.

    A container's own addresses are reached from its networks; from elsewhere by the address that
    its port is published at.
    """
    return is_loopback(settings.bind or settings.host)


def operator() -> Caller:
    """Give who acts when a setting or the operations command does: it has the database itself."""
    return Caller(
        tenant=DEFAULT_TENANT,
        caps=Caps(),
        via=Via.COMMAND,
        key_id=None,
        scopes=ALL_SCOPES,
        address=None,
        request_id=str(uuid.uuid7()),
    )


async def _ensure_admin_key(conn: Connection, given: str) -> None:
    try:
        key = given if given.startswith("crv_") else _read(Path(given))
        new = await service.ensure_admin_key(conn, operator(), key)
    except service.UnusableSeed as error:
        raise service.UnusableSeed(f"CRIVO_ADMIN_KEY {error}") from None
    if new:
        log.info("key.seeded", by="CRIVO_ADMIN_KEY")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        # Without what was given: it may be a key with a slip of the pen.
        raise service.UnusableSeed("is neither a key nor a file that can be read") from None
