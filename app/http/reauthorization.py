"""Ask again whether a caller may: when its body is there, before an answer, and during a long one.

The guard of a route decides at a request's head. A body, an upload check or a waiting reader may
take minutes from there, in which a key is revoked or a tenant suspended; whoever would be refused
now gets nothing now. This wraps every route, so that no handler has to think of it. A handler
that works between the body and its write calls `require_access` before the write itself.
"""

import asyncio
from contextlib import suppress
from typing import Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPScope, Message, Receive, Scope, Send

from app.errors import Problem
from app.http.access import (
    RECENT_SECONDS,
    Caller,
    caller_in,
    may_end_access,
    require_access,
)
from app.http.in_flight import InFlight
from app.http.problems import problem_answer
from app.outages import DatabaseUnavailable

log = structlog.get_logger(__name__)

# Their bodies are not read; what waits for such a client to leave must hear of nothing else.
_WITHOUT_BODY: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def reauthorized(app: ASGIApp) -> ASGIApp:
    """Wrap the routes: what comes and goes of a request passes here."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send)
        try:
            await app(scope, passage.receive, passage.send)
        except Exception:
            # What came of taking the answer away from under its sender.
            if not passage.withheld:
                raise
        finally:
            who = caller_in(scope)
            if who is not None:
                in_flight: InFlight = scope["litestar_app"].state.in_flight
                in_flight.end(who.tenant)

    return answer


class _Withheld(Exception):
    """Ends an answer that its caller may no longer have; never leaves this module."""


class _Passage:
    """What passes between one request's client and its handler."""

    def __init__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._looked_at = asyncio.get_running_loop().time()
        self.withheld = False

    async def receive(self) -> HTTPReceiveMessage:
        """Take what comes. Raises what `require_access` raises, and the handler with it."""
        message = cast("HTTPReceiveMessage", await self._receive())
        who = caller_in(self._scope)
        if (
            who is not None
            and message["type"] == "http.request"
            and self._scope["method"] not in _WITHOUT_BODY
        ):
            if not message["more_body"]:
                await require_access(who)
            elif self._is_due():
                with suppress(DatabaseUnavailable):
                    await require_access(who)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, or the refusal in its place."""
        who = caller_in(self._scope)
        if who is not None and not may_end_access(who):
            refusal = await self._refusal(who, message)
            if refusal is not None:
                self.withheld = True
                if message["type"] == "http.response.start":
                    await problem_answer(self._scope, refusal, self._send)  # type: ignore[arg-type] # narrower types
                else:
                    # The connection closes before the end that was announced.
                    log.info("answer.cut", reason=refusal.code)
                raise _Withheld
        await self._send(message)

    async def _refusal(self, who: Caller, message: Message) -> Problem | None:
        """Say why the caller may not have this; while PostgreSQL is away nobody is refused."""
        starts = message["type"] == "http.response.start"
        # An end of which nothing is left to send gives nothing away.
        if not starts and (not message.get("body") or not self._is_due()):
            return None
        try:
            with suppress(DatabaseUnavailable):
                await require_access(who)
        except Problem as problem:
            return problem
        return None

    def _is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < RECENT_SECONDS:
            return False
        self._looked_at = now
        return True
