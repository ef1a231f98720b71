"""Keep a worker's slot offers up to date, and begin the executions that are handed over to it."""

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from app.db import Connection
from app.executions.dispatch import slot_offers
from app.executions.model import Claim
from app.outages import DatabaseUnavailable
from app.resources import Resources

# Longer than the notifier lets pass between two signs that it listens (RESYNC_SECONDS).
_MAX_SILENCE_SECONDS: Final = 8.0
_PAYLOAD: Final = re.compile(
    r"(?P<execution>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (?P<token>\d{1,16})"
)


class HandOvers:
    """The offers of one worker, and what acceptances hand over to it."""

    def __init__(self, resources: Resources, worker_id: UUID) -> None:
        """Offer nothing until `offer`."""
        self._resources = resources
        self._worker_id = worker_id
        self._offered = 0
        # The hand-overs that are about to begin, and hold no slot yet.
        self.beginning = 0
        self._heard_at = -math.inf

    async def offer(self, slots: int) -> None:
        """Offer as many slots, in place of what was offered before. Raises DatabaseUnavailable.

        While the notifier does not listen, none are offered.
        """
        if asyncio.get_running_loop().time() - self._heard_at > _MAX_SILENCE_SECONDS:
            slots = 0
        before, self._offered = self._offered, max(slots, self._offered)
        if not slots and not before:
            return
        async with self._resources.pool.acquire() as conn:
            if slots < before:
                await slot_offers.withdraw(conn, self._worker_id, above=slots)
            if slots:
                room = self._resources.sandbox.room
                await slot_offers.offer(conn, self._worker_id, slots=slots, room=room)
        self._offered = slots

    @contextmanager
    def subscribed(self, on_hand_over: Callable[[UUID, int], object]) -> Iterator[None]:
        """Call back with execution and token of each hand-over, for the length of a block."""

        def receive(payload: str) -> None:
            # Of another form it is another program's.
            if match := _PAYLOAD.fullmatch(payload):
                on_hand_over(UUID(match["execution"]), int(match["token"]))

        channel = slot_offers.channel_of(self._worker_id)
        with self._resources.notifier.subscribed(
            channel, on_notification=receive, resync=self._note_listening
        ):
            yield

    async def begin(self, execution: UUID, token: int) -> Claim | None:
        """Begin an execution; None if the hand-over is no longer valid, or cannot be begun."""
        self.beginning += 1
        try:
            async with self._resources.pool.acquire() as conn:
                lease_seconds = self._resources.settings.lease_seconds
                return await slot_offers.begin(conn, execution, token, lease_seconds=lease_seconds)
        except DatabaseUnavailable:
            return None
        finally:
            self.beginning -= 1

    async def decline(self, execution: UUID, token: int) -> None:
        """Queue an execution for other workers; if that fails, it is rescued."""
        with suppress(DatabaseUnavailable):
            async with self._resources.pool.acquire() as conn:
                if await slot_offers.return_to_queue(conn, execution, token):
                    self._resources.publisher.changed(execution)
                    self._resources.work_signal.notify()

    async def _note_listening(self, _: Connection) -> None:
        # It looks for nothing: a hand-over that was missed is rescued after a second.
        self._heard_at = asyncio.get_running_loop().time()
