"""Create, change, show, list, pause and delete pipes."""

import asyncio
from time import monotonic
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.auth.errors import MissingScope
from app.auth.model import Scope
from app.datasets.parts import Format
from app.datasets.problems import dataset_not_found
from app.db import Connection
from app.errors import Problem, clipped, invalid, located
from app.pagination import Page, Paginator
from app.pipes import inbox_store, lease_store, store
from app.pipes.connectors.dataset_store import find_dataset
from app.pipes.connectors.model import ConnectorUnavailable
from app.pipes.connectors.permissions import require_permitted
from app.pipes.connectors.redis_client import open_redis
from app.pipes.connectors.redis_room import erase_stream
from app.pipes.model import (
    DatasetSink,
    DatasetSource,
    HttpSource,
    Pipe,
    PutPipe,
    RedisStreamSink,
)
from app.pipes.plans import require_schema, require_script
from app.pipes.problems import PipeNotEmpty, StreamsUnavailable, pipe_not_found
from app.pipes.store import FoundPipe
from app.pipes.topology import own_stream, require_apart
from app.preconditions import Preconditions
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.references import is_name
from app.resources import Resources
from app.tenants.store import select_tenant

# Rows of one transaction.
_ERASED_AT_ONCE: Final = 2_000
# How long Redis may take: a connection of the pool waits for it.
_ERASE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1


async def put(
    resources: Resources,
    caller: Caller,
    name: str,
    wanted: PutPipe,
    *,
    preconditions: Preconditions,
) -> tuple[Pipe, bool]:
    """Create a pipe, or change its definition from its next batch on; return whether it is new.

    Raises InvalidRequest, MissingScope, PreconditionFailed, QuotaExceeded, PipeNotEmpty, and what
    `require_schema`, `require_script` and `dataset_not_found` name.
    """
    _require_scopes(caller, wanted)
    async with resources.pool.acquire() as conn:
        found = await store.find_pipe(conn, caller.tenant, name)
        preconditions.require(None if found is None else "*")
        if found is not None and found.definition == wanted:
            # Nothing changes, so what it names may have been archived since.
            return await read_pipe(conn, caller.tenant, name), False
        # Without locks, since it may take a while: a pipe's references are resolved as it works.
        await _require_named(resources, conn, caller.tenant, wanted)
        await require_permitted(conn, resources.settings, caller.tenant, wanted)
        async with conn.transaction():
            await store.lock_additions(conn, caller.tenant)
            before = await store.lock_pipe(conn, caller.tenant, name)
            preconditions.require(None if before is None else "*")
            await require_apart(conn, caller.tenant, name, wanted)
            if before is None:
                await store.insert_pipe(conn, caller.tenant, uuid.uuid7(), name, wanted)
                await _require_room(resources, conn, caller.tenant)
                await _log(conn, caller, Action.PIPE_CREATED, name)
            elif before.definition != wanted:
                await _change(conn, caller.tenant, name, before, wanted)
                await _log(conn, caller, Action.PIPE_CHANGED, name)
            return await read_pipe(conn, caller.tenant, name), before is None


async def show(resources: Resources, tenant: UUID, name: str) -> Pipe:
    """Return a pipe. Raises PipeNotFound."""
    async with resources.pool.acquire() as conn:
        return await read_pipe(conn, tenant, name)


async def list_pipes(
    resources: Resources, tenant: UUID, *, cursor: str | None, limit: int
) -> Page[Pipe]:
    """List pipes, newest first. Raises InvalidRequest."""
    paginator = Paginator("pipes")
    below = paginator.below(cursor)
    async with resources.pool.acquire() as conn:
        rows = await store.select_pipe_page(conn, tenant, below=below, limit=limit + 1)
    return paginator.page(rows, [row.id for row in rows], limit=limit)


async def set_paused(resources: Resources, caller: Caller, name: str, *, paused: bool) -> Pipe:
    """Pause a pipe after its batch, or resume it; doing so again changes nothing.

    Raises PipeNotFound.
    """
    action = Action.PIPE_PAUSED if paused else Action.PIPE_RESUMED
    async with resources.pool.acquire() as conn, conn.transaction():
        pipe = await _locked(conn, caller.tenant, name)
        if await store.set_paused(conn, caller.tenant, pipe.id, paused=paused):
            await _log(conn, caller, action, name)
        return await read_pipe(conn, caller.tenant, name)


async def delete(resources: Resources, caller: Caller, name: str, *, erase: bool) -> None:
    """Delete a pipe; `erase`: with its events, its dead letters and a stream that it alone has.

    What it has is erased in steps, while it is paused, so that nobody waits for its row; a request
    that ends in between leaves the pipe paused, to be deleted again. Raises PipeNotFound,
    PipeNotEmpty, StreamsUnavailable.
    """
    if erase:
        await _erase(resources, caller, name)
    async with resources.pool.acquire() as conn, conn.transaction():
        if erase:
            # Until the stream is gone, no other pipe begins to use it.
            await store.lock_additions(conn, caller.tenant)
        pipe = await _locked(conn, caller.tenant, name)
        left = await store.select_leftovers(conn, caller.tenant, pipe.id)
        if not erase and (left.inbox or left.dead_letters):
            what = "events that are not forwarded" if left.inbox else "dead letters"
            raise PipeNotEmpty(
                f"the pipe {name!r} has {what}; DELETE /pipes/{name}?erase=true erases them with it"
            )
        await store.delete_pipe(conn, caller.tenant, pipe.id, erase=erase)
        await _log(conn, caller, Action.PIPE_DELETED, name)
        if erase and (stream := await own_stream(conn, caller.tenant, name, pipe.definition)):
            # Last, since it cannot be rolled back.
            await _erase_stream(resources, conn, caller.tenant, stream)


async def _erase(resources: Resources, caller: Caller, name: str) -> None:
    """Pause a pipe, and erase what it has, but for what arrives meanwhile."""
    async with resources.pool.acquire() as conn, conn.transaction():
        pipe = await _locked(conn, caller.tenant, name)
        if await store.set_paused(conn, caller.tenant, pipe.id, paused=True):
            await _log(conn, caller, Action.PIPE_PAUSED, name)
        else:
            await reauthorize_before_commit(caller)
    for erase_some in (inbox_store.erase_inbox, store.erase_letters):
        erased = _ERASED_AT_ONCE
        while erased == _ERASED_AT_ONCE:
            async with resources.pool.acquire() as conn, conn.transaction():
                erased = await erase_some(conn, caller.tenant, pipe.id, limit=_ERASED_AT_ONCE)
                await reauthorize_before_commit(caller)
    if isinstance(pipe.definition.sink.sink, RedisStreamSink):
        await _await_end_of_batch(resources, caller.tenant, name, pipe.id)


async def _await_end_of_batch(resources: Resources, tenant: UUID, name: str, pipe_id: UUID) -> None:
    """Wait until no worker adds anything to the sink of a paused pipe. Raises PipeNotEmpty."""
    until = monotonic() + resources.settings.lease_seconds + _ERASE_SECONDS
    while True:
        async with resources.pool.acquire() as conn:
            if not await lease_store.is_held(conn, tenant, pipe_id):
                return
        if monotonic() > until:
            raise PipeNotEmpty(
                f"the pipe {name!r} is paused, and its worker has not ended its batch; delete it "
                "again"
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _erase_stream(resources: Resources, conn: Connection, tenant: UUID, stream: str) -> None:
    """Delete a stream, and with it what consumers have not read. Raises StreamsUnavailable."""
    found = await select_tenant(conn, tenant)
    assert found is not None  # noqa: S101 - it has a pipe
    try:
        async with (
            asyncio.timeout(_ERASE_SECONDS),
            open_redis(resources.settings, tenant=found.name, stream=stream) as link,
        ):
            await erase_stream(link)
    except (ConnectorUnavailable, TimeoutError) as error:
        raise StreamsUnavailable(
            f"the stream {stream!r} cannot be erased, as {str(error) or 'Redis does not answer'}; "
            "the pipe is paused, delete it again"
        ) from None


async def read_pipe(conn: Connection, tenant: UUID, name: str) -> Pipe:
    """Read a pipe. Raises PipeNotFound."""
    pipe = await store.select_pipe(conn, tenant, name)
    if pipe is None:
        raise pipe_not_found(name)
    return pipe


def parse_name(text: str) -> str:
    """Parse a pipe's name. Raises PipeNotFound for any other text."""
    if not is_name(text):
        raise pipe_not_found(text)
    return text


def parse_new_name(text: str) -> str:
    """Parse a name for a new pipe. Raises InvalidRequest."""
    if not is_name(text):
        raise invalid(
            "/pipe",
            f"{clipped(text)!r} cannot name a pipe: lower-case letters, digits, '.', '_' and '-'",
        )
    return text


def _require_scopes(caller: Caller, wanted: PutPipe) -> None:
    """Require what reading or writing a dataset takes, beside the scope of the route.

    Raises MissingScope, and InvalidRequest without one source and one sink.
    """
    needed = [
        *([Scope.READ] if isinstance(wanted.source.source, DatasetSource) else []),
        *([Scope.WRITE_DATASETS] if isinstance(wanted.sink.sink, DatasetSink) else []),
    ]
    for scope in needed:
        if scope not in caller.scopes:
            raise MissingScope(scope)


async def _locked(conn: Connection, tenant: UUID, name: str) -> FoundPipe:
    pipe = await store.lock_pipe(conn, tenant, name)
    if pipe is None:
        raise pipe_not_found(name)
    return pipe


async def _change(
    conn: Connection, tenant: UUID, name: str, before: FoundPipe, wanted: PutPipe
) -> None:
    other_source = before.definition.source != wanted.source
    if other_source and isinstance(before.definition.source.source, HttpSource):
        left = await store.select_leftovers(conn, tenant, before.id)
        if left.inbox:
            raise PipeNotEmpty(
                f"/from: the pipe {name!r} has events that arrived over HTTP and are not "
                "forwarded; change its source once its lag is 0"
            )
    await store.update_pipe(conn, tenant, before.id, wanted, other_source=other_source)


async def _require_named(
    resources: Resources, conn: Connection, tenant: UUID, wanted: PutPipe
) -> None:
    """Check that what a definition names is there, each with its pointer."""
    try:
        await require_schema(resources, conn, tenant, wanted)
    except Problem as error:
        raise located("/schema", error) from None
    try:
        await require_script(conn, tenant, wanted)
    except Problem as error:
        raise located("/script", error) from None
    for pointer, end in (
        ("/from/dataset/dataset", wanted.source.source),
        ("/to/dataset/dataset", wanted.sink.sink),
    ):
        if isinstance(end, DatasetSource | DatasetSink):
            await _require_lines(conn, tenant, pointer, end.dataset)


async def _require_lines(conn: Connection, tenant: UUID, pointer: str, name: str) -> None:
    dataset = await find_dataset(conn, tenant, name)
    if dataset is None:
        raise located(pointer, dataset_not_found(name))
    if dataset.format is not Format.JSONL:
        raise invalid(pointer, f"{name!r} has the format {dataset.format}, and a pipe needs jsonl")


async def _require_room(resources: Resources, conn: Connection, tenant: UUID) -> None:
    limit = resources.settings.max_pipes
    if limit and (count := await store.count_pipes(conn, tenant)) > limit:
        raise QuotaExceeded(Quota.PIPES, limit=limit, used=count - 1)


async def _log(conn: Connection, caller: Caller, action: Action, name: str) -> None:
    """Log the last step of a transaction, if its caller still has access."""
    await log_action(conn, caller, action, f"/pipes/{name}")
    await reauthorize_before_commit(caller)
