"""Run parts of runs on the workers of a Dask cluster, as futures.

The scheduler is asked every second who its workers are. A new one is first asked for a proof; parts
go to those that have given one, each to a worker that is chosen here. A worker that is gone has
lost its parts, and so has a scheduler that does not answer. Dask's own retries are of no use then:
a token admits one attempt (`assignment_store`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec
import structlog
from distributed import Client
from typing_extensions import override

from app.background import background
from app.executions.dispatch.engine_slots import PartLost
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish
from app.metrics import ENGINE_PARTS, ENGINE_SLOTS
from app.outages import Outage, reason_of
from app.runs.engines import dask_task
from app.runs.engines.dask_members import Handed, Member
from app.runs.engines.dask_task import SeenWorker
from app.runs.engines.engine import Engine, Submission
from app.runs.engines.messages import (
    ANSWER_DECODER,
    PROOF_DECODER,
    Answer,
    Assignment,
    Failed,
    Finished,
    HostFailed,
    NotValid,
    Proof,
    ProofRequest,
    encode,
)
from app.runs.engines.requirements import Requirements
from app.workers.model import EngineState

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
# A scheduler that has not answered for so long is lost.
_ANSWER_SECONDS: Final = 5.0
# A worker of the cluster opens a sandbox before it proves anything.
_PROOF_SECONDS: Final = 60.0


@asynccontextmanager
async def open_dask_engine(
    address: str, *, worker: UUID, requirements: Requirements
) -> AsyncIterator["DaskEngine"]:
    """Use a cluster for the length of the block, whenever its scheduler answers.

    `worker` is the one that claims the parts; workers of the cluster must meet `requirements`.
    """
    # What it logs of an outage, `outage.began` says once.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    engine = DaskEngine(address, worker=worker, requirements=requirements)
    async with background(engine.follow()):
        yield engine


class DaskEngine(Engine):
    """The admitted workers of a Dask cluster."""

    def __init__(self, address: str, *, worker: UUID, requirements: Requirements) -> None:
        """Take the scheduler's address, `dask://host:port` or `tls://host:port`."""
        scheme, _, place = address.partition("://")
        self._address = f"{'tls' if scheme == 'tls' else 'tcp'}://{place}"
        self._worker = worker
        self._requirements = requirements
        self._outage = Outage("Dask scheduler")
        self._client: Any = None
        self._members: dict[str, Member] = {}

    @property
    @override
    def capacity(self) -> int:
        return sum(each.slots for each in self._admitted)

    @property
    @override
    def max_memory_bytes(self) -> int | None:
        limits = [each.proof.max_memory_bytes for each in self._admitted if each.proof is not None]
        bounded = [each for each in limits if each is not None]
        # Any of them may be chosen.
        return min(bounded, default=None)

    @property
    @override
    def state(self) -> EngineState:
        return EngineState(name="dask", slots=self.capacity, trouble=self.trouble)

    @property
    def trouble(self) -> str | None:
        """Why parts cannot run on it, for clients: without addresses. None: they can."""
        if not self._connected:
            return "its scheduler does not answer"
        refused = len(self.refusals)
        if refused:
            return f"{refused} of {len(self._members)} workers are refused, as the log explains"
        return None if self._admitted else "no worker has joined it"

    @property
    def _connected(self) -> bool:
        # The client notices the end of its connection before the next question is not answered.
        return self._client is not None and self._client.status == "running"

    @property
    def refusals(self) -> list[str]:
        """Why workers are refused, one for each of them."""
        return [each.refusal for each in self._members.values() if each.refusal]

    @property
    def _admitted(self) -> "list[Member]":
        if not self._connected:
            return []
        members = self._members.values()
        return [each for each in members if each.proof is not None and each.accepts]

    @override
    async def submit(self, claim: Claim, usage: ResourceUsage) -> Submission:
        admitted = self._admitted
        if not admitted:
            raise PartLost("the engine has no worker that may run it", begun=False)
        member = min(admitted, key=lambda each: len(each.handed) / each.slots)
        assignment = Assignment(execution=claim.id, token=claim.lease_token, worker=self._worker)
        key = f"crivo-{claim.id}-{claim.lease_token}"
        return _DaskSubmission(self._hand(member, dask_task.run, encode(assignment), key), usage)

    @property
    def workers(self) -> int:
        """How many workers can run calls now."""
        return len(self._admitted)

    async def call(self, run: Callable[[bytes, int], bytes], message: bytes, *, key: str) -> bytes:
        """Run another function that is installed there on a worker, and return its answer.

        It takes a slot beside those of parts. Raises PartLost.
        """
        admitted = self._admitted
        if not admitted:
            raise PartLost("the engine has no worker that may run it", begun=False)
        member = min(admitted, key=lambda each: (each.calls, len(each.handed) / each.slots))
        member.calls += 1
        try:
            handed = self._hand(member, run, message, key)
            try:
                return await handed.answer()
            finally:
                handed.release()
        finally:
            member.calls -= 1

    def _hand(
        self, member: "Member", run: Callable[[bytes, int], bytes], message: bytes, key: str
    ) -> "Handed":
        try:
            future = self._client.submit(
                run,
                message,
                member.slots,
                key=key,
                pure=False,
                retries=0,
                workers=[member.address],
                allow_other_workers=False,
            )
        except Exception as error:
            # Such as that the client was closed meanwhile.
            raise PartLost(reason_of(error), begun=False) from error
        return Handed(member, future)

    async def follow(self) -> None:
        """Stay connected with the scheduler, and know its workers, until cancelled."""
        while True:
            try:
                await self._follow_while_connected()
            except Exception as error:  # noqa: BLE001 - whatever Dask raises, it is away
                self._outage.failed(reason_of(error))
            finally:
                self._lose_all()
            await asyncio.sleep(_POLL_SECONDS)

    async def _follow_while_connected(self) -> None:
        client: Any = Client(  # type: ignore[no-untyped-call] # most of distributed is untyped
            self._address,
            asynchronous=True,
            timeout=_ANSWER_SECONDS,
            set_as_default=False,
            name="crivo",
        )
        proofs: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(2 * _ANSWER_SECONDS):
                await client
            while True:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    identity = await client.scheduler.identity(n_workers=-1)
                if client.status != "running":
                    raise ConnectionError("the connection to the scheduler was lost")
                self._outage.worked()
                self._client = client
                for member in self._see(dask_task.workers_of(identity)):
                    asking = asyncio.create_task(self._ask(client, member))
                    proofs.add(asking)
                    asking.add_done_callback(proofs.discard)
                ENGINE_SLOTS.set(self.capacity)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self._lose_all()
            for asking in proofs:
                asking.cancel()
            with suppress(Exception):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await client.close()

    def _lose_all(self) -> None:
        self._client = None
        for member in self._members.values():
            member.lose("the scheduler of the engine does not answer", begun=False)
        self._members.clear()
        ENGINE_SLOTS.set(0)

    def _see(self, seen: dict[str, SeenWorker]) -> "list[Member]":
        """Take note of the cluster's workers; return those to ask for a proof."""
        for address in self._members.keys() - seen.keys():
            log.info("engine.worker_gone", worker=address)
            self._members.pop(address).lose("its worker of the engine is gone", begun=True)
        for address, worker in seen.items():
            member = self._members.setdefault(address, Member(address, worker.threads))
            # One that is being retired finishes what it has.
            member.accepts = worker.accepts
        now = asyncio.get_running_loop().time()
        asked = [each for each in self._members.values() if each.must_be_asked(now)]
        for each in asked:
            each.asked = True
        return asked

    async def _ask(self, client: Client, member: "Member") -> None:
        """Ask a worker of the cluster for its proof, and admit or refuse it."""
        request = encode(ProofRequest(worker=self._worker))
        try:
            async with asyncio.timeout(_PROOF_SECONDS):
                answers = await client.run(
                    dask_task.prove,
                    request,
                    member.slots,
                    workers=[member.address],
                    on_error="return",
                )
            member.judged(*self._judge(answers[member.address]))
        except Exception as error:  # noqa: BLE001 - whatever the cluster raises, it is no proof
            member.judged(None, f"it gives no proof: {type(error).__name__}")

    def _judge(self, answer: object) -> tuple[Proof | None, str]:
        if not isinstance(answer, bytes):
            # Such as ModuleNotFoundError, where Crivo is not installed.
            return None, f"it cannot run Crivo: {type(answer).__name__}: {answer}"
        try:
            proof = PROOF_DECODER.decode(answer)
        except msgspec.MsgspecError:
            return None, "its proof is of another version of Crivo"
        if not isinstance(proof, Proof):
            return None, proof.reason
        refusal = self._requirements.refusal_of(proof)
        return (None, refusal) if refusal else (proof, "")


class _DaskSubmission(Submission):
    """A part that a worker of the cluster has."""

    def __init__(self, handed: Handed, usage: ResourceUsage) -> None:
        self._handed = handed
        self._usage = usage

    @override
    async def finished(self) -> Finish:
        try:
            answer = await self._handed.answer()
        except PartLost:
            ENGINE_PARTS.labels("lost").inc()
            raise
        decoded: Answer = ANSWER_DECODER.decode(answer)
        match decoded:
            case Finished(finish):
                ENGINE_PARTS.labels("finished").inc()
                self._usage.add(cpu_ms=finish.cpu_ms, peak_memory_bytes=finish.peak_memory_bytes)
                return finish
            case HostFailed(reason):
                ENGINE_PARTS.labels("refused").inc()
                self._handed.member.judged(None, reason)
                raise PartLost(reason, begun=False)
            case Failed(reason):
                ENGINE_PARTS.labels("lost").inc()
                raise PartLost(reason, begun=True)
            case NotValid():
                ENGINE_PARTS.labels("lost").inc()
                raise PartLost("another attempt has begun under its token", begun=True)
            case never:
                assert_never(never)

    @override
    async def cancel(self) -> None:
        self._handed.release()
