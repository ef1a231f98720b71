"""Re-check access after the body has arrived, before a response and during a long one.

A route's guard decides when a request's head arrives. The body, an upload check or a wait can take
minutes from there, in which the key may be revoked or the tenant suspended; a caller that would be
refused now gets nothing. This middleware wraps every route, so no handler has to do it. A handler
that works between the body and its write calls `app.auth.callers.reauthorize` before the write.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from app.auth.callers import RECENT_SECONDS, Caller, reauthorize
from app.auth.errors import AuthError
from app.http.authorization import caller_in, may_revoke_access
from app.http.challenges import with_challenge
from app.http.problems import send_problem
from app.http.request_id import AnyConnection
from app.outages import DatabaseUnavailable
from app.quotas.in_flight import InFlightLimiter

log = structlog.get_logger(__name__)

_CHUNKS: Final = "crivo_chunks"
# Bodies of these are not read: while a response waits for its client to disconnect, receive
# must raise nothing else.
_WITHOUT_BODY: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def reauthorized(app: ASGIApp) -> ASGIApp:
    """Wrap the routes, and re-check access as the messages of a request pass through."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        channel = _ReauthorizedChannel(scope, receive, send)
        try:
            await app(scope, channel.receive, channel.send)
        except Exception:
            # Cutting off a response raises within its sender; what that raises in turn is moot.
            if not channel.is_cut_off:
                raise
        finally:
            for chunks in scope.get(_CHUNKS, ()):  # type: ignore[attr-defined] # a key of ours
                # A sender that raised leaves it suspended, with what it holds.
                await chunks.aclose()
            caller = caller_in(scope)
            if caller is not None:
                in_flight: InFlightLimiter = scope["litestar_app"].state.in_flight
                in_flight.end(caller.tenant)

    return wrapped


def closed_with(
    request: AnyConnection, chunks: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Return chunks of a response; they are closed when the request ends, however it ends."""
    request.scope.setdefault(_CHUNKS, []).append(chunks)  # type: ignore[typeddict-item] # a key of ours
    return chunks


class _CutOff(Exception):
    """Ends the sending of a response whose caller has lost access; never leaves this module."""


class _ReauthorizedChannel:
    """The messages between the client of one request and its handler."""

    def __init__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._checked_at = asyncio.get_running_loop().time()
        self.is_cut_off = False

    async def receive(self) -> HTTPReceiveMessage:
        """Receive a message. Raises as `reauthorize`, and so does the handler."""
        message = cast("HTTPReceiveMessage", await self._receive())
        caller = caller_in(self._scope)
        if (
            caller is not None
            and message["type"] == "http.request"
            and self._scope["method"] not in _WITHOUT_BODY
        ):
            if not message["more_body"]:
                await reauthorize(caller)
            elif self._is_due():
                with suppress(DatabaseUnavailable):
                    await reauthorize(caller)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, or a refusal in its place."""
        caller = caller_in(self._scope)
        if caller is not None and not may_revoke_access(self._scope):
            refusal = await self._refusal(caller, message)
            if refusal is not None:
                self.is_cut_off = True
                if message["type"] == "http.response.start":
                    await send_problem(self._scope, with_challenge(refusal), self._send)  # type: ignore[arg-type] # narrower types
                else:
                    # The connection closes before the announced end.
                    log.info("answer.cut", reason=refusal.code)
                raise _CutOff
        await self._send(message)

    async def _refusal(self, caller: Caller, message: Message) -> AuthError | None:
        """Return why the caller has lost access; never while PostgreSQL is unavailable."""
        is_start = message["type"] == "http.response.start"
        # An end without content reveals nothing.
        if not is_start and (not message.get("body") or not self._is_due()):
            return None
        try:
            with suppress(DatabaseUnavailable):
                await reauthorize(caller)
        except AuthError as error:
            return error
        return None

    def _is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._checked_at < RECENT_SECONDS:
            return False
        self._checked_at = now
        return True
