"""Serve the HTTP routes of callbacks, their secrets and disabled URLs."""

from functools import partial
from uuid import UUID

from litestar import Response, Router, delete, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.batches.refs import parse_batch_id
from app.callbacks import reference, service
from app.callbacks.model import (
    Callback,
    CreatedSecret,
    CreateSecret,
    DisabledUrl,
    Secret,
    parse_id,
)
from app.callbacks.subjects import BATCH, EXECUTION, EXPORT, RUN
from app.executions.refs import parse_execution_id
from app.exports.refs import parse_export_id
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.idempotency.model import Repeated, key_for
from app.idempotency.service import create_once
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.resources import Resources
from app.runs.refs import parse_run_id


@get(
    "/executions/{execution:str}/callbacks",
    operation_class=reference.LIST_CALLBACKS,
    **needs(Scope.READ),
)
async def list_callbacks(execution: str, resources: Resources, tenant: UUID) -> Page[Callback]:
    """List the callbacks of an execution.

    Empty until the execution ends, and without a `callback_url`. Each has the times and status
    codes of its attempts, and the time of the next one while it is pending.
    """
    async with resources.pool.acquire() as conn:
        callbacks = await service.list_callbacks(
            conn, tenant, EXECUTION, parse_execution_id(execution)
        )
    return Page(items=callbacks, next_cursor=None)


@post(
    "/executions/{execution:str}/callbacks/{callback:str}/resend",
    status_code=202,
    operation_class=reference.RESEND_CALLBACK,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def resend_callback(
    execution: str, callback: str, resources: Resources, caller: Caller
) -> Callback:
    """Send a callback again.

    At once, whatever its status, with the same `webhook-id`; if that fails, by the whole schedule
    again. The receiver's URL must not be disabled.
    """
    async with resources.pool.acquire() as conn:
        return await service.resend(
            conn, caller, EXECUTION, parse_execution_id(execution), parse_id(callback)
        )


@get(
    "/batches/{batch:str}/callbacks",
    operation_class=reference.LIST_BATCH_CALLBACKS,
    **needs(Scope.READ),
)
async def list_batch_callbacks(batch: str, resources: Resources, tenant: UUID) -> Page[Callback]:
    """List the callbacks of a batch.

    Empty until the batch ends, and without a `callback_url`; as `GET
    /executions/{execution}/callbacks` otherwise.
    """
    async with resources.pool.acquire() as conn:
        callbacks = await service.list_callbacks(conn, tenant, BATCH, parse_batch_id(batch))
    return Page(items=callbacks, next_cursor=None)


@post(
    "/batches/{batch:str}/callbacks/{callback:str}/resend",
    status_code=202,
    operation_class=reference.RESEND_BATCH_CALLBACK,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def resend_batch_callback(
    batch: str, callback: str, resources: Resources, caller: Caller
) -> Callback:
    """Send a callback of a batch again.

    As `POST /executions/{execution}/callbacks/{callback}/resend` does for an execution.
    """
    async with resources.pool.acquire() as conn:
        return await service.resend(conn, caller, BATCH, parse_batch_id(batch), parse_id(callback))


@get(
    "/runs/{run:str}/callbacks",
    operation_class=reference.LIST_RUN_CALLBACKS,
    **needs(Scope.READ),
)
async def list_run_callbacks(run: str, resources: Resources, tenant: UUID) -> Page[Callback]:
    """List the callbacks of a run.

    Empty until the run ends, and without a `callback_url`; as `GET
    /executions/{execution}/callbacks` otherwise.
    """
    async with resources.pool.acquire() as conn:
        callbacks = await service.list_callbacks(conn, tenant, RUN, parse_run_id(run))
    return Page(items=callbacks, next_cursor=None)


@post(
    "/runs/{run:str}/callbacks/{callback:str}/resend",
    status_code=202,
    operation_class=reference.RESEND_RUN_CALLBACK,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def resend_run_callback(
    run: str, callback: str, resources: Resources, caller: Caller
) -> Callback:
    """Send a callback of a run again.

    As `POST /executions/{execution}/callbacks/{callback}/resend` does for an execution.
    """
    async with resources.pool.acquire() as conn:
        return await service.resend(conn, caller, RUN, parse_run_id(run), parse_id(callback))


@get(
    "/exports/{export:str}/callbacks",
    operation_class=reference.LIST_EXPORT_CALLBACKS,
    **needs(Scope.READ),
)
async def list_export_callbacks(export: str, resources: Resources, tenant: UUID) -> Page[Callback]:
    """List the callbacks of an export.

    Empty until the export ends, and without a `callback_url`; as `GET
    /executions/{execution}/callbacks` otherwise.
    """
    async with resources.pool.acquire() as conn:
        callbacks = await service.list_callbacks(conn, tenant, EXPORT, parse_export_id(export))
    return Page(items=callbacks, next_cursor=None)


@post(
    "/exports/{export:str}/callbacks/{callback:str}/resend",
    status_code=202,
    operation_class=reference.RESEND_EXPORT_CALLBACK,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def resend_export_callback(
    export: str, callback: str, resources: Resources, caller: Caller
) -> Callback:
    """Send a callback of an export again.

    As `POST /executions/{execution}/callbacks/{callback}/resend` does for an execution.
    """
    async with resources.pool.acquire() as conn:
        return await service.resend(
            conn, caller, EXPORT, parse_export_id(export), parse_id(callback)
        )


@post(
    "/callbacks/secrets",
    operation_class=reference.CREATE_SECRET,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def create_callback_secret(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[CreatedSecret | Secret]:
    """Create a secret that signs callbacks.

    The response contains the secret itself, `whsec_…`; it is not shown again. From here on it
    signs every callback of the tenant. For `overlap_seconds`, a day by default, the previous one
    signs as well, so receivers can change from one to the other; with 0 it ends at once.
    """
    body = await read_json(request, CreateSecret, max_bytes=MAX_SMALL_BODY_BYTES)
    once = key_for(idempotency_key_of(request), body)
    headers = {"Cache-Control": "no-store"}
    async with resources.pool.acquire() as conn:
        try:
            created = await create_once(
                conn,
                caller.tenant,
                once,
                partial(service.create_secret, conn, caller, body),
                hours=resources.settings.idempotency_hours,
            )
        except Repeated as earlier:
            secret = await service.find_secret(conn, caller.tenant, UUID(earlier.resource))
            headers |= replayed(is_replay=True)
            return Response(secret, status_code=200, headers=headers)
    return Response(created, status_code=201, headers=headers)


@get("/callbacks/secrets", operation_class=reference.LIST_SECRETS, **needs(Scope.READ))
async def list_callback_secrets(resources: Resources, tenant: UUID) -> Page[Secret]:
    """List the secrets that sign callbacks.

    Newest first, three at most, without their texts.
    """
    async with resources.pool.acquire() as conn:
        found = await service.list_secrets(conn, tenant)
    return Page(items=found, next_cursor=None)


@get("/callbacks/disabled-urls", operation_class=reference.LIST_DISABLED, **needs(Scope.READ))
async def list_disabled_urls(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[DisabledUrl]:
    """List disabled URLs.

    A URL that answers a callback with 410 is disabled: its callbacks, pending and future ones, are
    `disabled` and not sent. The last disabled comes first, a page at a time.
    """
    query = read_query(request, PageQuery)
    return await service.list_disabled(
        resources.pool, tenant, cursor=query.cursor or None, limit=query.limit
    )


@delete(
    "/callbacks/disabled-urls/{disabled:str}",
    status_code=204,
    operation_class=reference.ENABLE_URL,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def enable_url(disabled: str, resources: Resources, caller: Caller) -> None:
    """Enable a URL again.

    For callbacks of executions that end from now on; those that were disabled meanwhile can be
    sent again one by one.
    """
    async with resources.pool.acquire() as conn:
        await service.enable(conn, caller, parse_id(disabled))


router = Router(
    path="/",
    tags=["callbacks"],
    route_handlers=[
        list_callbacks,
        resend_callback,
        list_batch_callbacks,
        resend_batch_callback,
        list_run_callbacks,
        resend_run_callback,
        list_export_callbacks,
        resend_export_callback,
        create_callback_secret,
        list_callback_secrets,
        list_disabled_urls,
        enable_url,
    ],
)
