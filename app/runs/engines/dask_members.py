"""Keep what each worker of a Dask cluster was handed, until it answers or is lost."""

import asyncio
from typing import Any, Final

import structlog
from distributed import Future
from distributed.client import FutureCancelledError

from app.executions.dispatch.engine_slots import PartLost
from app.runs.engines.messages import Proof

log = structlog.get_logger(__name__)

# How long a worker that was refused, or has failed, gets nothing before it is asked again.
_REFUSED_SECONDS: Final = 15.0


class Member:
    """A worker of the cluster, and what it was handed; without a proof it gets nothing."""

    def __init__(self, address: str, slots: int) -> None:
        """Take its address and the number of its threads."""
        self.address = address
        self.slots = slots
        self.proof: Proof | None = None
        self.refusal = ""
        self.accepts = True
        self.asked = False
        self.ask_at = 0.0
        self.handed: set[Handed] = set()
        # Of these, those that are no parts.
        self.calls = 0

    def must_be_asked(self, now: float) -> bool:
        """Return whether it is time to ask for a proof."""
        return self.proof is None and self.accepts and not self.asked and now >= self.ask_at

    def judged(self, proof: Proof | None, refusal: str) -> None:
        """Admit it for its proof, or refuse it for a while."""
        if proof is not None:
            log.info("engine.worker_admitted", worker=self.address, lockdown=proof.lockdown)
        elif refusal != self.refusal:
            log.warning("engine.worker_refused", worker=self.address, reason=refusal)
        self.proof, self.refusal, self.asked = proof, refusal, False
        self.ask_at = asyncio.get_running_loop().time() + _REFUSED_SECONDS

    def lose(self, reason: str, *, begun: bool) -> None:
        """Let all that it was handed be lost."""
        for each in list(self.handed):
            each.lose(PartLost(reason, begun=begun))


class Handed:
    """What a worker of the cluster was handed, until it answers or is lost."""

    def __init__(self, member: Member, future: "Future[Any]") -> None:
        """Count it for the worker."""
        self.member = member
        self._future = future
        self._lost: asyncio.Future[PartLost] = asyncio.get_running_loop().create_future()
        member.handed.add(self)

    def lose(self, lost: PartLost) -> None:
        """Let `answer` raise this."""
        if not self._lost.done():
            self._lost.set_result(lost)

    async def answer(self) -> bytes:
        """Wait for the answer. Raises PartLost."""
        result = asyncio.create_task(_result_of(self._future))
        try:
            waited: set[asyncio.Future[Any]] = {result, self._lost}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                raise self._lost.result()
            answer = result.result()
        finally:
            result.cancel()
        if not isinstance(answer, bytes):
            # An error of Dask's own. What is cancelled for a lost connection is no part's fault.
            begun = not isinstance(answer, FutureCancelledError)
            raise PartLost(f"Dask says: {type(answer).__name__}", begun=begun)
        return answer

    def release(self) -> None:
        """Forget it. Safe to repeat."""
        self.member.handed.discard(self)
        # The scheduler forgets what nobody waits for; what has begun is stopped by its token.
        self._future.release()  # type: ignore[no-untyped-call] # most of distributed is untyped


async def _result_of(future: "Future[Any]") -> object:
    try:
        return await future.result()
    except Exception as error:  # noqa: BLE001 - of whatever class Dask has for it
        return error
