"""Check params: JSON beside an execution's data, part of the second argument of `process`."""

import json
from typing import Final, NoReturn

from msgspec import UNSET, Raw, UnsetType

from app.errors import InvalidRequest, clipped, invalid, invalid_parameter
from app.limits import MAX_PARAMS_BYTES

# The params of a run without any.
NO_PARAMS: Final = "{}"
# The longest text that is decoded for a message.
_MAX_SHOWN_BYTES: Final = 400


def read_params(params: Raw | str | UnsetType) -> bytes | None:
    """Check that params are JSON, and return their bytes unchanged; None if there are none.

    The check is as strict as V8's parser, because responses embed params in JSON documents.
    Raises InvalidRequest.
    """
    if params is UNSET:
        return None
    # Cannot fail: a query that is not UTF-8 has been refused already.
    encoded = params.encode() if isinstance(params, str) else bytes(params)
    if len(encoded) > MAX_PARAMS_BYTES:
        message = f"has {len(encoded)} bytes; the limit is {MAX_PARAMS_BYTES}"
        raise _invalid_params(params, message)
    try:
        # Numbers stay texts: Python limits their length, JSON does not.
        json.loads(
            encoded.decode(), parse_constant=_reject_constant, parse_int=str, parse_float=str
        )
    except ValueError:
        shown = clipped(encoded[:_MAX_SHOWN_BYTES].decode(errors="replace"))
        raise _invalid_params(
            params, f'is not JSON, such as {{"rate":2}}: it is `{shown}`'
        ) from None
    except RecursionError:
        raise _invalid_params(params, "is nested too deeply") from None
    return encoded


def _invalid_params(params: Raw | str, message: str) -> InvalidRequest:
    if isinstance(params, str):
        return invalid_parameter("params", message)
    return invalid("/params", message)


def _reject_constant(constant: str) -> NoReturn:
    message = f"there is no {constant}"
    raise ValueError(message)
