"""Params: JSON that a submission brings beside its data, for the second argument of `process`."""

import json
from typing import Final, NoReturn

from msgspec import UNSET, Raw, UnsetType

from app.errors import InvalidRequest, clipped, invalid, invalid_parameter
from app.limits import MAX_PARAMS_BYTES

# What a script sees where none came.
NO_PARAMS: Final = "{}"
# Enough of them for a message.
_MAX_SHOWN: Final = 400


def read_params(params: Raw | str | UnsetType) -> bytes | None:
    """Check params, and keep them as the bytes that came; None where none did.

    They are JSON as V8 reads it: a client is shown them within a document of ours. Raises
    InvalidRequest.
    """
    if params is UNSET:
        return None
    # A query that is not UTF-8 has been refused by now, so this cannot fail.
    encoded = params.encode() if isinstance(params, str) else bytes(params)
    if len(encoded) > MAX_PARAMS_BYTES:
        message = f"has {len(encoded)} bytes; the limit is {MAX_PARAMS_BYTES}"
        raise _refused(params, message)
    try:
        # Numbers stay texts: Python has limits for them that JSON has not.
        json.loads(encoded.decode(), parse_constant=_refuse, parse_int=str, parse_float=str)
    except ValueError:
        shown = clipped(encoded[:_MAX_SHOWN].decode(errors="replace"))
        raise _refused(params, f'is not JSON, such as {{"rate":2}}: it is `{shown}`') from None
    except RecursionError:
        raise _refused(params, "is nested too deeply") from None
    return encoded


def _refused(params: Raw | str, message: str) -> InvalidRequest:
    if isinstance(params, str):
        return invalid_parameter("params", message)
    return invalid("/params", message)


def _refuse(constant: str) -> NoReturn:
    message = f"there is no {constant}"
    raise ValueError(message)
