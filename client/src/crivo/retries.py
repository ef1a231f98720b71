"""Carry out requests and repeat those that fail, where that is safe.

A flow is a generator that yields requests and pauses and receives replies. It does no I/O, so
that `Crivo` and `AsyncCrivo` share it.

GET, PUT, PATCH, DELETE and a POST that creates nothing are repeated after any failure that may
pass. A request that creates something carries an `Idempotency-Key`, so that the service carries
it out once however often it arrives. A service that refuses the key (0.1.0 does) gets the request
without it; then it is repeated only if the service has certainly not carried it out.
"""

import math
import random
import time
import uuid
from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar, cast

from msgspec import Struct

from crivo.errors import CrivoError, InvalidRequest, Refused, UnexpectedResponse, Unreachable
from crivo.wire import Reply, Request

T = TypeVar("T")


class Pause(Struct, frozen=True):
    """A step of a flow: wait."""

    seconds: float


Step: TypeAlias = Request | Pause
Flow: TypeAlias = Generator[Step, Reply | None, T]

_KEY_UNSUPPORTED: Final = "idempotency-key-unsupported"
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
# Busy, away, full, or a proxy that cannot reach the service.
_MAY_PASS: Final = frozenset({_TOO_MANY, 502, 503, 504, 507})
# Refusals before anything is stored.
_NOTHING_DONE: Final = frozenset({"queue-full", "no-room-to-wait", "check-busy"})


class Retry(Struct, frozen=True, kw_only=True):
    """The number of attempts and the pauses between them.

    A pause is random up to a bound that doubles from `first_pause` to `max_pause` seconds, and at
    least the `Retry-After` of the response; one above `max_retry_after` ends the attempts.
    """

    attempts: int = 5
    first_pause: float = 0.25
    max_pause: float = 8.0
    max_retry_after: float = 60.0

    def pause(self, failures: int, *, retry_after: float | None) -> float | None:
        """Return the pause after this many failures; None: give up."""
        if failures >= self.attempts:
            return None
        if retry_after is not None and retry_after > self.max_retry_after:
            return None
        bound = min(self.max_pause, self.first_pause * 2 ** min(failures - 1, 30))
        return (retry_after or 0.0) + random.uniform(0.0, bound)  # noqa: S311 - no secret


# As many times the attempts as usual: about a minute.
_PATIENCE: Final = 6


class Patience(Retry, frozen=True, kw_only=True):
    """More attempts than usual, for what takes long: the service may be restarted meanwhile.

    After `deadline`, by the monotonic clock, there are only the usual ones.
    """

    usual: Retry
    deadline: float | None

    def pause(self, failures: int, *, retry_after: float | None) -> float | None:
        """Return the pause after this many failures; None: give up."""
        left = math.inf if self.deadline is None else self.deadline - time.monotonic()
        if left <= 0:
            return self.usual.pause(failures, retry_after=retry_after)
        pause = super().pause(failures, retry_after=retry_after)
        return None if pause is None else min(pause, left)


def patient(retry: Retry, *, deadline: float | None = None) -> Retry:
    """Return a retry with more attempts, unless requests are not repeated at all."""
    if retry.attempts <= 1 or isinstance(retry, Patience):
        return retry
    return Patience(
        attempts=retry.attempts * _PATIENCE,
        first_pause=retry.first_pause,
        max_pause=retry.max_pause,
        max_retry_after=retry.max_retry_after,
        usual=retry,
        deadline=deadline,
    )


class Keys:
    """Idempotency keys, and whether the service takes them (None: unknown)."""

    def __init__(self) -> None:
        """Assume nothing about the service."""
        self.supported: bool | None = None


def deliver(request: Request, *, retry: Retry, keys: Keys) -> Flow[Reply]:
    """Carry out a request, repeatedly if that is safe. Raises CrivoError."""
    if request.creates and keys.supported is None and not _replayable(request):
        # A stream can be sent only once, so the answer must be known before.
        keys.supported = yield from _takes_keys(retry=retry, keys=keys)
    key = request.key or str(uuid.uuid4())
    # Whether an attempt with the key may have been carried out.
    may_be_done = False
    failures = 0
    while True:
        keyed = request.creates and keys.supported is not False
        outcome = yield from _attempt(request.with_key(key) if keyed else request)
        if isinstance(outcome, Reply):
            return outcome
        if keyed and _refuses_keys(outcome):
            keys.supported = False
            if may_be_done:
                # Another release of the service may have taken the key; without it, the request
                # would be carried out twice.
                message = "the service does not take idempotency keys, and may have done this"
                raise Unreachable(message, may_have_arrived=True, may_pass=False) from outcome
            continue
        failures += 1
        may_be_done = may_be_done or (keyed and _may_be_done(outcome))
        pause = retry.pause(failures, retry_after=outcome.retry_after)
        if pause is None or not _may_repeat(request, outcome, keyed=keyed):
            if may_be_done:
                outcome.idempotency_key = key
            raise outcome
        yield Pause(pause)


def pause_before_resuming(error: CrivoError, failures: int, *, retry: Retry) -> float:
    """Return the seconds before the rest of a stream is requested. Raises a final error."""
    pause = retry.pause(failures, retry_after=error.retry_after)
    if pause is None or not _may_pass(error):
        raise error
    return pause


def _attempt(request: Request) -> Flow[Reply | CrivoError]:
    try:
        # Only a Pause is answered with None.
        reply = cast(Reply, (yield request))
    except Unreachable as error:
        return error
    return reply.error or reply


def _takes_keys(*, retry: Retry, keys: Keys) -> Flow[bool]:
    """Find out whether a service takes keys, by a submission that is invalid in any case."""
    probe = Request(method="POST", path="/executions").with_key(str(uuid.uuid4()))
    try:
        yield from deliver(probe, retry=retry, keys=keys)
    except InvalidRequest as error:
        return not _refuses_keys(error)
    return False


def _refuses_keys(error: CrivoError) -> bool:
    return isinstance(error, Refused) and error.code == _KEY_UNSUPPORTED


def _may_pass(error: CrivoError) -> bool:
    match error:
        case Unreachable():
            return error.may_pass
        case Refused(status=status) | UnexpectedResponse(status=status):
            return status in _MAY_PASS
        case _:
            return False


def _may_be_done(error: CrivoError) -> bool:
    match error:
        case Unreachable():
            return error.may_have_arrived
        case Refused(status=status):
            # A conflict with Retry-After: an earlier attempt is still in progress.
            in_progress = status == _CONFLICT and error.retry_after is not None
            return in_progress or (status in _MAY_PASS and not _is_refused_first(error))
        case UnexpectedResponse(status=status):
            return status in _MAY_PASS and status != _TOO_MANY
        case _:
            return False


def _is_refused_first(error: Refused) -> bool:
    """Whether a service that is busy has refused before it stored anything."""
    return error.status == _TOO_MANY or error.code in _NOTHING_DONE


def _may_repeat(request: Request, error: CrivoError, *, keyed: bool) -> bool:
    is_final = isinstance(error, Refused) and error.code in request.final_codes
    if is_final or (request.body is not None and not request.body.available):
        return False
    # A repeated condition would not hold any more: the first request has changed what it is about.
    is_safe = keyed or not (request.creates or request.overwrites or "If-Match" in request.headers)
    match error:
        case Unreachable():
            return error.may_pass and (is_safe or not error.may_have_arrived)
        case Refused(status=status) if status == _CONFLICT:
            # An earlier attempt with this key is still in progress.
            return keyed and error.retry_after is not None
        case Refused(status=status) if status in _MAY_PASS:
            return is_safe or _is_refused_first(error)
        case UnexpectedResponse(status=status):
            return is_safe and status in _MAY_PASS
        case _:
            return False


def _replayable(request: Request) -> bool:
    return request.body is None or request.body.replayable
