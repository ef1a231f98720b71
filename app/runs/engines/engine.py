"""Define an engine: what runs claimed parts of runs, in this process or on other machines.

The claim, its lease and its fencing token stay with the worker that made it. An engine runs the
part and returns the outcome, which that worker records. Nothing depends on an engine's memory: a
part that it loses goes back to the queue, and what a lost attempt still writes is beside a token
that nobody records.
"""

from abc import ABC, abstractmethod

from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.workers.model import EngineState


class Submission(ABC):
    """A part that an engine has."""

    @abstractmethod
    async def finished(self) -> Finish:
        """Wait for the outcome, which is not recorded yet.

        Raises PartLost; an engine in this process also what `run_part` raises.
        """

    @abstractmethod
    async def cancel(self) -> None:
        """Stop it if it has not ended, and forget it. Safe to repeat.

        An engine on other machines may stop a part that runs there only once its token is no longer
        valid: the caller releases the claim next.
        """


class Engine(ABC):
    """Where parts of runs are run."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many parts it can run at once; 0 while it can run none."""

    @property
    @abstractmethod
    def max_memory_bytes(self) -> int | None:
        """The highest memory limit that it can enforce; None: any."""

    @property
    def state(self) -> EngineState | None:
        """What the heartbeat of the worker shows of it; None: nothing."""
        return None

    @abstractmethod
    async def submit(self, claim: Claim, usage: ResourceUsage) -> Submission:
        """Hand over a claimed part; `usage` grows with what it has used, where that is known.

        Of the claim, an engine on other machines is sent ids and token. Raises PartLost.
        """


async def run_on(engine: Engine, claim: Claim, usage: ResourceUsage) -> Finish:
    """Run a claimed part on an engine to its outcome; a cancelled caller cancels the part.

    Raises what `Submission.finished` raises.
    """
    submission = await engine.submit(claim, usage)
    try:
        return await submission.finished()
    finally:
        await submission.cancel()
