"""List and resend callbacks, rotate secrets, and enable URLs again."""

import secrets
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec.structs import asdict

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.callbacks import store
from app.callbacks.model import (
    MAX_SECRETS,
    SECRET_BYTES,
    Callback,
    CreatedSecret,
    CreateSecret,
    DisabledUrl,
    Secret,
    secret_text,
)
from app.callbacks.problems import (
    CallbackNotFound,
    CallbackUrlDisabled,
    DisabledUrlNotFound,
    SecretReplaced,
)
from app.callbacks.subjects import Subject
from app.db import Connection, Pool
from app.pagination import Page, Paginator


async def list_callbacks(
    conn: Connection, tenant: UUID, subject: Subject, subject_id: UUID
) -> list[Callback]:
    """List the callbacks of a resource; none before it ends.

    Raises the subject's problem of a missing resource.
    """
    callbacks = await store.select_callbacks(conn, tenant, subject.name, subject_id)
    if not callbacks:
        await subject.require(conn, tenant, subject_id)
    return callbacks


async def resend(
    conn: Connection,
    caller: Caller,
    subject: Subject,
    subject_id: UUID,
    callback_id: UUID | None,
) -> Callback:
    """Send a callback once more, with a new schedule and the same id.

    Raises CallbackNotFound, CallbackUrlDisabled, and the subject's problem of a missing resource.
    """
    async with conn.transaction():
        callback = await _find(conn, caller.tenant, subject, subject_id, callback_id)
        if await store.is_disabled(conn, caller.tenant, callback.url):
            raise CallbackUrlDisabled(
                "the URL has answered 410; DELETE /callbacks/disabled-urls/{id} enables it again"
            )
        await store.resend(conn, caller.tenant, callback.id)
        target = f"{subject.path}/{subject_id}/callbacks/{callback.id}"
        details = {"status": callback.status}
        await log_action(conn, caller, Action.CALLBACK_RESENT, target, details=details)
        return await _find(conn, caller.tenant, subject, subject_id, callback.id)


async def create_secret(conn: Connection, caller: Caller, request: CreateSecret) -> CreatedSecret:
    """Create a secret; only this result holds it. Earlier ones sign during the overlap."""
    async with conn.transaction():
        await store.lock_secrets(conn, caller.tenant)
        secret_id, secret = await _add_secret(
            conn, caller.tenant, overlap_seconds=request.overlap_seconds
        )
        await log_action(
            conn,
            caller,
            Action.SECRET_CREATED,
            f"/callbacks/secrets/{secret_id}",
            details={"overlap_seconds": request.overlap_seconds},
        )
        [created, *_] = await store.select_secrets(conn, caller.tenant)
    return CreatedSecret(**asdict(created), secret=secret_text(secret))


async def find_secret(conn: Connection, tenant: UUID, secret_id: UUID) -> Secret:
    """Return a secret that signs a tenant's callbacks. Raises SecretReplaced."""
    for secret in await store.select_secrets(conn, tenant):
        if secret.id == secret_id:
            return secret
    message = f"the earlier request created the secret {secret_id}"
    raise SecretReplaced(message)


async def list_secrets(conn: Connection, tenant: UUID) -> list[Secret]:
    """List the secrets that sign a tenant's callbacks, newest first."""
    return await store.select_secrets(conn, tenant)


async def signing_secrets(conn: Connection, tenant: UUID) -> list[bytes]:
    """Return what signs a tenant's callbacks, newest first; the first is created on demand."""
    found = await store.select_signing_secrets(conn, tenant)
    if not found:
        async with conn.transaction():
            await store.lock_secrets(conn, tenant)
            found = await store.select_signing_secrets(conn, tenant)
            if not found:
                _, secret = await _add_secret(conn, tenant, overlap_seconds=0)
                found = [secret]
    return found


async def list_disabled(
    pool: Pool, tenant: UUID, *, cursor: str | None, limit: int
) -> Page[DisabledUrl]:
    """Return a page of disabled URLs, the last disabled first. Raises InvalidRequest."""
    paginator = Paginator("disabled-urls")
    below = paginator.below(cursor)
    async with pool.acquire() as conn:
        urls = await store.select_disabled_page(conn, tenant, below=below, limit=limit + 1)
    return paginator.page(urls, [each.id for each in urls], limit=limit)


async def enable(conn: Connection, caller: Caller, disabled_id: UUID | None) -> None:
    """Enable a URL again, for callbacks from now on. Raises DisabledUrlNotFound."""
    async with conn.transaction():
        found = None
        if disabled_id is not None:
            found = await store.delete_disabled(conn, caller.tenant, disabled_id)
        if found is None:
            raise DisabledUrlNotFound("GET /callbacks/disabled-urls lists them")
        target = f"/callbacks/disabled-urls/{disabled_id}"
        await log_action(conn, caller, Action.CALLBACK_ENABLED, target)


async def _find(
    conn: Connection,
    tenant: UUID,
    subject: Subject,
    subject_id: UUID,
    callback_id: UUID | None,
) -> Callback:
    for callback in await list_callbacks(conn, tenant, subject, subject_id):
        if callback.id == callback_id:
            return callback
    raise CallbackNotFound(f"GET {subject.path}/{subject_id}/callbacks lists them")


async def _add_secret(
    conn: Connection, tenant: UUID, *, overlap_seconds: int
) -> tuple[UUID, bytes]:
    secret_id, secret = uuid.uuid7(), secrets.token_bytes(SECRET_BYTES)
    await store.replace_secret(
        conn,
        tenant,
        secret_id,
        secret,
        overlap_seconds=overlap_seconds,
        keep=MAX_SECRETS - 1,
    )
    return secret_id, secret
