"""Wait for what the service works on, by requests that it holds until the end."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypeVar

from crivo.bodies import Body
from crivo.errors import Refused
from crivo.retries import Flow, Pause
from crivo.session import Session
from crivo.wire import JSON, Request

# The service may take as long to accept 100,000 items.
ACCEPTANCE_SECONDS: Final = 300.0
# Below the service's maximum of 60 s, and below the patience of most proxies.
_WAIT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 1.0
# While somebody looks, a resource is shown this often.
_SHOWN_SECONDS: Final = 1.0
# The service has no room for another waiting request, but answers at once without waiting.
_NO_ROOM: Final = frozenset({"too-many-waiting", "no-room-to-wait"})


class Ending(Protocol):
    """A resource that has a final state."""

    @property
    def is_final(self) -> bool:
        """Whether its state can never change again."""


EndingT = TypeVar("EndingT", bound=Ending)
OnState: TypeAlias = Callable[[EndingT], None]


def acceptance(
    path: str, content: bytes, *, creates: bool = True, key: str | None = None
) -> Request:
    """Return the request for work that is described in JSON, and takes a while to accept."""
    return Request(
        method="POST",
        path=path,
        headers=JSON,
        body=Body(content),
        creates=creates,
        key=key,
        wait=ACCEPTANCE_SECONDS,
    )


def wait_for_end(
    session: Session,
    path: str,
    shape: type[EndingT],
    *,
    timeout: float | None,
    on_state: OnState[EndingT] | None = None,
) -> Flow[EndingT]:
    """Wait until a resource is final; return it as it is by then, or after `timeout` seconds.

    `on_state` gets it after each request, and about once a second. Once the service has responded,
    the wait goes on while it is restarted.
    """
    step = _WAIT_SECONDS if on_state is None else _SHOWN_SECONDS
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        is_long = on_state is None and session.contact.is_made
        step = _WAIT_SECONDS if is_long else _SHOWN_SECONDS
        left = step if deadline is None else max(0.0, deadline - time.monotonic())
        asked = session.patient(deadline=deadline) if session.contact.is_made else session
        found = yield from _wait_once(asked, path, shape, seconds=min(left, step))
        if on_state is not None:
            on_state(found)
        if found.is_final or (deadline is not None and time.monotonic() >= deadline):
            return found


def _wait_once(
    session: Session, path: str, shape: type[EndingT], *, seconds: float
) -> Flow[EndingT]:
    request = Request(
        method="GET",
        path=path,
        query=[("wait", f"{seconds:.3f}")],
        wait=seconds,
        final_codes=_NO_ROOM,
    )
    try:
        return (yield from session.fetch(request, shape))
    except Refused as error:
        if error.code not in _NO_ROOM:
            raise
    yield Pause(min(seconds, _POLL_SECONDS))
    return (yield from session.get(path, shape))
