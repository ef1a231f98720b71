"""Create the key of CRIVO_ADMIN_KEY, and refuse to listen where strangers would have access."""

from pathlib import Path

import structlog
import uuid_utils.compat as uuid

from app.auth.callers import Caller
from app.auth.model import ALL_SCOPES, AuthMethod
from app.auth.open_mode import is_local_only, is_open_without_keys
from app.db import Connection, open_pool
from app.errors import CrivoError
from app.keys import service, store
from app.quotas.model import Caps
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

log = structlog.get_logger(__name__)


class CannotListen(CrivoError):
    """The settings would give access to strangers, or to no caller at all."""


async def prepare(settings: Settings) -> None:
    """Create the key of CRIVO_ADMIN_KEY, and check that the API can listen.

    Raises CannotListen, UnusableAdminKey, DatabaseUnavailable, and as open_pool.
    """
    is_reachable = not is_local_only(settings)
    where = f"CRIVO_BIND={settings.bind}" if settings.bind else f"CRIVO_HOST={settings.host}"
    if is_reachable and settings.auth == "open" and not settings.insecure_listen:
        raise CannotListen(
            f"{where} with CRIVO_AUTH=open: without keys the API listens on loopback only; set "
            "CRIVO_INSECURE_LISTEN=true if something else keeps strangers out"
        )
    needs_a_key = is_reachable and not is_open_without_keys(settings)
    if not needs_a_key and not settings.admin_key:
        return
    async with open_pool(settings) as pool, pool.acquire() as conn:
        if settings.admin_key:
            await _ensure_admin_key(conn, settings.admin_key)
        state = await store.select_keys_state(conn)
    if needs_a_key and not state.any_key:
        command = "./start.sh compose admin" if settings.bind else "./start.sh admin"
        raise CannotListen(
            f"{where}: beyond loopback the API needs keys, and there is none; "
            f"create one ({command} key create --all), or set CRIVO_ADMIN_KEY"
        )


def operator() -> Caller:
    """Return the caller for settings and the operations command, which have database access."""
    return Caller(
        tenant=DEFAULT_TENANT,
        caps=Caps(),
        auth_method=AuthMethod.COMMAND,
        key_id=None,
        scopes=ALL_SCOPES,
        address=None,
        request_id=str(uuid.uuid7()),
    )


async def _ensure_admin_key(conn: Connection, setting: str) -> None:
    try:
        key = setting if setting.startswith("crv_") else _read_key(Path(setting))
        is_new = await service.ensure_admin_key(conn, operator(), key)
    except service.UnusableAdminKey as error:
        raise service.UnusableAdminKey(f"CRIVO_ADMIN_KEY {error}") from None
    if is_new:
        log.info("key.seeded", by="CRIVO_ADMIN_KEY")


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        # The message does not repeat the setting: it may be a key with a typing error.
        raise service.UnusableAdminKey("is neither a key nor a readable file") from None
