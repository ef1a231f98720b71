"""What a request says of itself: its id, and the address that it came from."""

import re
from ipaddress import ip_address
from typing import Any, Final

import uuid_utils.compat as uuid
from litestar.connection import ASGIConnection

AnyConnection = ASGIConnection[Any, Any, Any, Any]

REQUEST_ID: Final = "X-Request-Id"

# What may stand in a log, a header and a row as it came; anything else gets an id of ours.
_SANE: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_STATE: Final = "request_id"


def request_id_of(connection: AnyConnection) -> str:
    """Give the request's id, the same at every call: the client's when it is sane, else a new one.

    It is kept in the connection's state, so that whoever asks first decides it for all.
    """
    state = connection.scope["state"]
    known: str | None = state.get(_STATE)
    if known is None:
        named = connection.headers.get(REQUEST_ID, "")
        known = named if _SANE.fullmatch(named) else str(uuid.uuid7())
        state[_STATE] = known
    return known


def address_of(connection: AnyConnection) -> str | None:
    """Give the client's address; None where there is none, as on a Unix socket.

    uvicorn puts in what a proxy on this machine says in X-Forwarded-For, which may be any text.
    """
    client = connection.scope["client"]
    if client is None:
        return None
    try:
        # PostgreSQL's inet has no zones (fe80::1%eth0).
        return str(ip_address(str(client[0]).partition("%")[0]))
    except ValueError:
        return None
